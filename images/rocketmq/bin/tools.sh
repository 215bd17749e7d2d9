#!/bin/sh
# Runs any class that the distribution's jars hold, for example org.apache.rocketmq.example.quickstart.Producer.
# shellcheck source=/dev/null
. "$(dirname "$0")/jvm.sh"

JAVA_OPT="$JAVA_OPT -Xms1g -Xmx1g -Xmn256m -XX:MetaspaceSize=128m -XX:MaxMetaspaceSize=128m"

# shellcheck disable=SC2086 # options are words
"$JAVA" $JAVA_OPT -cp "$CLASSPATH" "$@"
