#!/bin/sh
# Runs a class in a JVM with the broker's defaults. The JVM stays a child of this shell, as with the official
# script: a SIGTERM sent to the shell does not reach it. Later options win, so JAVA_OPT_EXT overrides the defaults.
# shellcheck source=/dev/null
. "$(dirname "$0")/jvm.sh"

case ${ROCKETMQ_VERSION:-} in
  4.*) heap="-Xms8g -Xmx8g -Xmn4g -XX:MaxDirectMemorySize=15g" ;;
  *) size=$(heap_of_machine); heap="-Xms${size}m -Xmx${size}m -Xmn$((size / 4))m -XX:MaxDirectMemorySize=${size}m" ;;
esac
JAVA_OPT="$JAVA_OPT ${HEAP_OPTS:-$heap}"
JAVA_OPT="$JAVA_OPT -XX:+UseG1GC -XX:G1HeapRegionSize=16m -XX:G1ReservePercent=25"
JAVA_OPT="$JAVA_OPT -XX:InitiatingHeapOccupancyPercent=30 -XX:SoftRefLRUPolicyMSPerMB=0"
JAVA_OPT="$JAVA_OPT -Xlog:gc*:file=/dev/shm/rmq_broker_gc_%p_%t.log:time,tags:filecount=5,filesize=30M"
JAVA_OPT="$JAVA_OPT -XX:-OmitStackTraceInFastThrow -XX:+AlwaysPreTouch -XX:-UseLargePages"
JAVA_OPT="$JAVA_OPT ${JAVA_OPT_EXT:-}"

# shellcheck disable=SC2086 # options are words
"$JAVA" $JAVA_OPT -cp "$CLASSPATH" "$@"
