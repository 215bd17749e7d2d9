# Sends with RocketMQ's quickstart Producer and receives with its Consumer, and compares what was acknowledged with what arrived. Sourced.
# shellcheck shell=bash disable=SC2154 # $state comes from common.sh, on() from its caller

# Both run inside the master's container, where ROCKETMQ_HOME and the jars are. Their JVM gets less than the tools' usual gigabyte, because it
# shares the broker's memory limit.
in_broker() { # script, arguments...
  on exec -i broker-0-master-0 -c broker -- env NAMESRV_ADDR=name-service:9876 _JAVA_OPTIONS='-Xms64m -Xmx128m -Xmn32m' sh -c "$@"
}

# The ids of messages, each once, in order; none is no failure.
acknowledged() { sed -nE '/sendStatus=SEND_OK/s/.*[[ ]msgId=([0-9A-F]+).*/\1/p' "$state/producer.log" | sort -u; }
arrived() { tr ' ,{}' '\n' <"$state/consumer.log" | sed -nE 's/^UNIQ_KEY=([0-9A-F]+).*/\1/p' | sort -u; }

send_and_receive() {
  local sent received deadline consumer
  say "\$ sh \$ROCKETMQ_HOME/bin/tools.sh org.apache.rocketmq.example.quickstart.Producer"
  # shellcheck disable=SC2016 # ROCKETMQ_HOME is the container's
  in_broker 'exec timeout 240 sh "$ROCKETMQ_HOME/bin/tools.sh" org.apache.rocketmq.example.quickstart.Producer' </dev/null >"$state/producer.log" 2>&1 ||
    { tail -n 20 "$state/producer.log"; die "the Producer failed; its output is in $state/producer.log"; }
  grep -m 2 'SendResult \[' "$state/producer.log" | indent || true
  acknowledged >"$state/sent"
  sent=$(wc -l <"$state/sent" | tr -d ' ')
  [ "$sent" -gt 0 ] || { tail -n 20 "$state/producer.log"; die "no message was acknowledged; the Producer's output is in $state/producer.log"; }
  say "  ... $sent messages acknowledged (SEND_OK)"

  # The Consumer never ends by itself. It is stopped by the end of its input, so that nothing stays behind in the container even if this
  # script is killed.
  say "\$ sh \$ROCKETMQ_HOME/bin/tools.sh org.apache.rocketmq.example.quickstart.Consumer"
  : >"$state/consumer.log"
  rm -f "$state/stop"; mkfifo "$state/stop"
  exec 9<>"$state/stop"
  # shellcheck disable=SC2016
  in_broker 'timeout 150 sh "$ROCKETMQ_HOME/bin/tools.sh" org.apache.rocketmq.example.quickstart.Consumer </dev/null & c=$!; read -r _; kill $c; wait $c' \
    <"$state/stop" >"$state/consumer.log" 2>&1 9>&- &
  consumer=$! deadline=$((SECONDS + 120)) received=0
  while :; do
    arrived >"$state/received"
    received=$(comm -12 "$state/sent" "$state/received" | wc -l | tr -d ' ')
    if [ "$received" -ge "$sent" ] || [ $SECONDS -ge $deadline ] || ! kill -0 $consumer 2>/dev/null; then break; fi
    sleep 1
  done
  exec 9>&-
  wait $consumer 2>/dev/null || true
  grep -m 1 'Receive New Messages' "$state/consumer.log" | cut -c1-180 | indent || true
  say "  ... $received of $sent messages received"
  [ "$received" = "$sent" ] || die "messages are missing; the outputs are in $state: producer.log and consumer.log"
}
