#!/bin/sh
# Runs a class in a JVM with the broker's defaults, as a child of this shell. BROKER_MEM replaces the heap's size.
# shellcheck source=/dev/null
. "$(dirname "$0")/jvm.sh"
# shellcheck source=/dev/null
. "$(dirname "$0")/heap.sh"

size=$(heap_of_container)
JAVA_OPT="$JAVA_OPT ${BROKER_MEM:--Xms${size}m -Xmx${size}m -Xmn$((size / 4))m}"
JAVA_OPT="$JAVA_OPT -XX:+UseG1GC -XX:G1HeapRegionSize=16m -XX:G1ReservePercent=25"
JAVA_OPT="$JAVA_OPT -XX:InitiatingHeapOccupancyPercent=30 -XX:SoftRefLRUPolicyMSPerMB=0"
JAVA_OPT="$JAVA_OPT -Xlog:gc*:file=/dev/shm/mq_gc_%p.log:time,tags:filecount=5,filesize=30M"
JAVA_OPT="$JAVA_OPT -XX:-OmitStackTraceInFastThrow -XX:+AlwaysPreTouch -XX:MaxDirectMemorySize=${size}m -XX:-UseLargePages"
JAVA_OPT="$JAVA_OPT ${JAVA_OPT_EXT:-}"

# shellcheck disable=SC2086 # options are words
"$JAVA" $JAVA_OPT -cp "$CLASSPATH" "$@"
