#!/bin/sh
# Runs a class in a JVM with the name server's defaults, as a child of this shell (see runbroker.sh).
# shellcheck source=/dev/null
. "$(dirname "$0")/jvm.sh"

case ${ROCKETMQ_VERSION:-} in
  4.*) heap="-Xms4g -Xmx4g -Xmn2g" ;;
  *) size=$(heap_of_machine); heap="-Xms${size}m -Xmx${size}m -Xmn$((size / 4))m" ;;
esac
JAVA_OPT="$JAVA_OPT ${HEAP_OPTS:-$heap} -XX:MetaspaceSize=128m -XX:MaxMetaspaceSize=320m"
JAVA_OPT="$JAVA_OPT -XX:+UseG1GC -XX:G1HeapRegionSize=16m -XX:G1ReservePercent=25"
JAVA_OPT="$JAVA_OPT -XX:InitiatingHeapOccupancyPercent=30 -XX:SoftRefLRUPolicyMSPerMB=0"
JAVA_OPT="$JAVA_OPT -Xlog:gc*:file=/dev/shm/rmq_srv_gc_%p_%t.log:time,tags:filecount=5,filesize=30M"
JAVA_OPT="$JAVA_OPT -XX:-OmitStackTraceInFastThrow -XX:-UseLargePages"
JAVA_OPT="$JAVA_OPT ${JAVA_OPT_EXT:-}"

# shellcheck disable=SC2086 # options are words
"$JAVA" $JAVA_OPT -cp "$CLASSPATH" "$@"
