#!/bin/sh
# Runs a class in a JVM with the name server's defaults, as a child of this shell. No variable replaces the heap's size.
# shellcheck source=/dev/null
. "$(dirname "$0")/jvm.sh"
# shellcheck source=/dev/null
. "$(dirname "$0")/heap.sh"

size=$(heap_of_container)
JAVA_OPT="$JAVA_OPT -Xms${size}m -Xmx${size}m -Xmn$((size / 4))m"
JAVA_OPT="$JAVA_OPT -XX:+UseG1GC -XX:SoftRefLRUPolicyMSPerMB=0 -XX:-OmitStackTraceInFastThrow -XX:-UseLargePages"
JAVA_OPT="$JAVA_OPT -Xlog:gc*:file=/dev/shm/rmq_srv_gc_%p.log:time,tags:filecount=5,filesize=30M"
JAVA_OPT="$JAVA_OPT ${JAVA_OPT_EXT:-}"

# shellcheck disable=SC2086 # options are words
"$JAVA" $JAVA_OPT -cp "$CLASSPATH" "$@"
