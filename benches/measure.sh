# shellcheck shell=bash
# What the races of fetching share. The script that sources it sets work, a directory.
# shellcheck disable=SC2154

# usage: race ROUNDS     lets by_pgsetup and by_shell take turns, each from an empty $work; prints the times of each round
race() {
  local round
  for ((round = 0; round < $1; round++)); do
    seconds by_pgsetup >>"$work/pgsetup-seconds"
    seconds by_shell >>"$work/shell-seconds"
  done
  rm -rf "$work/files" "$work/trees"
  paste "$work/pgsetup-seconds" "$work/shell-seconds" | awk '{ print "round " NR ": pgsetup " $1 " s, shell " $2 " s" }'
}

# usage: seconds COMMAND     how long it takes, from nothing
seconds() {
  local begin end
  rm -rf "$work/files" "$work/trees"
  sync
  begin="$(date +%s%N)"
  "$@"
  end="$(date +%s%N)"
  awk -v begin="$begin" -v end="$end" 'BEGIN { printf "%.2f\n", (end - begin) / 1e9 }'
}

# usage: median < NUMBERS
median() {
  sort --numeric-sort | awk '{ values[NR] = $1 } END { print values[int((NR + 1) / 2)] }'
}
