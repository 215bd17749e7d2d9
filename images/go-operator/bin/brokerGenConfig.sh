#!/bin/bash
# Writes conf/broker.conf: conf/broker-common.conf, which the operator mounts, with the broker's identity from the environment.
common=$ROCKETMQ_HOME/conf/broker-common.conf
config=$ROCKETMQ_HOME/conf/broker.conf

grep -v -e brokerClusterName -e brokerName -e brokerId "$common" > "$config"
cat >> "$config" <<EOF

brokerClusterName=$BROKER_CLUSTER_NAME
brokerName=$BROKER_NAME
brokerId=$BROKER_ID
brokerIP1=${POD_IP:-$(hostname -i)}
EOF
[ "$BROKER_ID" = 0 ] || sed -i 's/brokerRole=.*/brokerRole=SLAVE/' "$config"
cat "$config"
