# shellcheck shell=bash
# Reads the options in POSTGRES_INITDB_ARGS as initdb will: abbreviated, joined, or in one letter. Knows their names, not what they do.

# initdb's options as getopt(1) wants them; a colon marks those with a value.
initdb_letters='A:c:dD:E:gkL:nNsST:U:WX:V?'
initdb_names='allow-group-access,auth:,auth-host:,auth-local:,builtin-locale:,data-checksums,debug,discard-caches,encoding:,help,icu-locale:,'
initdb_names+='icu-rules:,lc-collate:,lc-ctype:,lc-messages:,lc-monetary:,lc-numeric:,lc-time:,locale:,locale-provider:,no-clean,'
initdb_names+='no-data-checksums,no-instructions,no-locale,no-sync,no-sync-data-files,pgdata:,pwfile:,pwprompt,set:,show,sync-method:,'
initdb_names+='sync-only,text-search-config:,username:,version,waldir:,wal-segsize:'

# The long names of letters. -L has none.
declare -A initdb_long_names=(
  [A]=auth [c]='set' [d]=debug [D]=pgdata [E]=encoding [g]=allow-group-access [k]=data-checksums [n]=no-clean [N]=no-sync [s]=show
  [S]=sync-only [T]=text-search-config [U]=username [V]=version [W]=pwprompt [X]=waldir ['?']=help
)

# usage: initdb_options
# Prints "name<TAB>value" for each option, by its long name. What initdb does not know is left to it: it says so before it makes anything.
initdb_options() {
  local -a words
  local name
  split_words words "$POSTGRES_INITDB_ARGS" || return 0
  split_words words "$(getopt --quiet --options "$initdb_letters" --longoptions "$initdb_names" -- "${words[@]}")" || return 0
  set -- "${words[@]}"
  while (($#)) && [[ "$1" != -- ]]; do
    name="${1#-}" && name="${name#-}"
    name="${initdb_long_names[$name]:-$name}"
    if initdb_option_has_value "$name"; then
      printf '%s\t%s\n' "$name" "$2"
      shift
    else
      printf '%s\t\n' "$name"
    fi
    shift
  done
}

# usage: initdb_option_has_value NAME
initdb_option_has_value() { [[ "$1" == L || ",$initdb_names," == *",$1:,"* ]]; }

# usage: initdb_strays
# Prints what initdb will not understand of POSTGRES_INITDB_ARGS, in its words.
initdb_strays() {
  local -a words
  local parsed
  split_words words "$POSTGRES_INITDB_ARGS" || return 0
  parsed="$(getopt --name initdb --options "$initdb_letters" --longoptions "$initdb_names" -- "${words[@]}" 2>&1)" || {
    printf '%s\n' "$parsed" | grep '^initdb: '
    return 0
  }
  parsed="${parsed##* --}"
  [[ -z "${parsed# }" ]] || printf 'initdb: a word that is no option: %s\n' "${parsed# }"
}

# usage: initdb_settings
# Prints the settings that initdb will write into postgresql.conf, in that file's form.
initdb_settings() {
  local name value
  while IFS=$'\t' read -r name value; do
    [[ "$name" != set || "$value" != *=* ]] || printf '%s = %s\n' "${value%%=*}" "$(quote_setting "${value#*=}")"
  done < <(initdb_options)
}
