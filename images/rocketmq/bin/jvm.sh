# Sourced by runbroker.sh, runserver.sh and tools.sh: sets JAVA, BASE_DIR, CLASSPATH and the start of JAVA_OPT.
# shellcheck shell=sh

BASE_DIR=${ROCKETMQ_HOME:-$(cd "$(dirname "$0")/.." && pwd)}
if [ -z "${JAVA_HOME:-}" ]; then
  JAVA=$(readlink -f "$(command -v java)") || { echo "ERROR: no java on the PATH and no JAVA_HOME" >&2; exit 1; }
  JAVA_HOME=$(dirname "$(dirname "$JAVA")")
fi
JAVA=$JAVA_HOME/bin/java
CLASSPATH=".:$BASE_DIR/conf:$BASE_DIR/lib/*:${CLASSPATH:-}"
export BASE_DIR JAVA_HOME JAVA CLASSPATH

# RocketMQ 4.x was written for Java 8 and reaches into these packages by reflection.
JAVA_OPT="${JAVA_OPT:-} -server"
for package in java.nio sun.nio.ch java.lang java.util java.util.concurrent jdk.internal.misc; do
  JAVA_OPT="$JAVA_OPT --add-opens=java.base/$package=ALL-UNNAMED"
done
JAVA_OPT="$JAVA_OPT --add-exports=java.base/jdk.internal.ref=ALL-UNNAMED"

# Largest heap that suits this machine in MiB: a quarter of its memory up to 8 GiB, but up to 1 GiB half of it.
# It looks at the machine, not at the container's limit, as the official scripts do.
heap_of_machine() {
  awk '/^MemTotal:/ { ram = int($2 / 1024); half = int(ram / 2); quarter = int(ram / 4)
                      if (half > 1024) half = 1024
                      if (quarter > 8192) quarter = 8192
                      print (half > quarter ? half : quarter) }' /proc/meminfo
}
