# Sourced by this layout's runbroker.sh and runserver.sh.
# shellcheck shell=sh

# Heap in MiB: a quarter of the memory up to 8 GiB, but up to 1 GiB half of it. The memory is the machine's or the
# container's limit (cgroup v2 or v1), whichever is less.
heap_of_container() {
  memory=$(free -m | awk '/^Mem:/ { print $2 }')
  for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
    limit=$(cat "$file" 2>/dev/null) || continue
    case $limit in *[!0-9]* | '') continue ;; esac
    limit=$((limit / 1048576))
    [ "$limit" -ge "$memory" ] || memory=$limit
  done
  half=$((memory / 2))
  [ $half -le 1024 ] || half=1024
  quarter=$((memory / 4))
  [ $quarter -le 8192 ] || quarter=8192
  echo $((half > quarter ? half : quarter))
}
