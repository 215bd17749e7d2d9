#!/bin/bash
# What the broker image runs: writes the configuration, then starts the broker as a child.
./brokerGenConfig.sh
./mqbroker -n "$NAMESRV_ADDR" -c "$ROCKETMQ_HOME/conf/broker.conf"
