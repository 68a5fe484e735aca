# shellcheck shell=bash
# What can be wrong with the options of initdb, with locales and with the authentication method, and is not found by initdb itself. Changes
# nothing; each function reports through `problem`.

# usage: check_initdb_arguments
check_initdb_arguments() {
  # shellcheck disable=SC2034  # only whether it can be split is asked
  local -a arguments
  local name value
  if ! split_words arguments "$POSTGRES_INITDB_ARGS"; then
    problem "POSTGRES_INITDB_ARGS has an unmatched quote: $POSTGRES_INITDB_ARGS"
    return 0
  fi
  [[ -z "$POSTGRES_INITDB_WALDIR" ]] || check_wal_directory POSTGRES_INITDB_WALDIR "$POSTGRES_INITDB_WALDIR"
  while IFS=$'\t' read -r name value; do
    case "$name" in
      username) problem "POSTGRES_INITDB_ARGS names the superuser '$value' (--username), and POSTGRES_USER is '$POSTGRES_USER'.
Set POSTGRES_USER=$value instead: the database is made, and initialisation scripts are run, under that name." ;;
      pgdata) problem "POSTGRES_INITDB_ARGS names the data directory '$value' (--pgdata), and PGDATA is '$PGDATA'.
Set PGDATA=$value instead: the server is started there." ;;
      waldir) check_wal_argument "$value" ;;
    esac
  done < <(initdb_options)
}

# usage: check_wal_argument DIRECTORY
check_wal_argument() {
  if [[ -n "$POSTGRES_INITDB_WALDIR" ]]; then
    problem "the directory of the write-ahead log is given twice: POSTGRES_INITDB_ARGS has '$1' (--waldir), and POSTGRES_INITDB_WALDIR is '$POSTGRES_INITDB_WALDIR'.
Leave one of them out."
  else
    check_wal_directory '--waldir in POSTGRES_INITDB_ARGS' "$1"
  fi
}

# usage: check_wal_directory ORIGIN DIRECTORY
check_wal_directory() {
  local data directory
  if [[ "$2" != /* ]]; then
    problem "$1 is '$2', but must be an absolute path"
    return 0
  fi
  data="$(realpath --canonicalize-missing -- "$PGDATA")"
  directory="$(realpath --canonicalize-missing -- "$2")"
  [[ "$directory/" != "$data/"* ]] || problem "$1 is '$2', which is in the data directory $PGDATA, where initdb wants to find nothing.
Name a directory elsewhere, or leave it out: the write-ahead log is then in $PGDATA/pg_wal."
  [[ ! -d "$2" ]] || is_free_for_wal "$2" || problem "$1 is '$2', which is not empty, and initdb wants an empty directory: it is left as it is.
Name a directory below it, which is then made, or another one."
  # initdb sets its mode, and root gives it to postgres first.
  ((EUID == 0)) || [[ ! -d "$2" || -O "$2" ]] || problem "$1 is '$2', which belongs to uid $(stat --format=%u "$2") and has to belong to uid $(id -u).
Give it to uid $(id -u), set POSTGRES_INITDB_WALDIR and start with --user root once, or name a directory below it, which is then made."
}

# initdb's options as getopt(1) wants them; a colon marks those with a value.
initdb_letters='A:c:dD:E:gkL:nNsST:U:WX:V?'
initdb_names='allow-group-access,auth:,auth-host:,auth-local:,builtin-locale:,data-checksums,debug,discard-caches,encoding:,help,icu-locale:,'
initdb_names+='icu-rules:,lc-collate:,lc-ctype:,lc-messages:,lc-monetary:,lc-numeric:,lc-time:,locale:,locale-provider:,no-clean,'
initdb_names+='no-data-checksums,no-instructions,no-locale,no-sync,no-sync-data-files,pgdata:,pwfile:,pwprompt,set:,show,sync-method:,'
initdb_names+='sync-only,text-search-config:,username:,version,waldir:,wal-segsize:'

# The long names of letters. -L has none.
declare -gA initdb_long_names=(
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
  [[ -z "${parsed# }" ]] || printf 'initdb: a word that is not an option: %s\n' "${parsed# }"
}

# usage: initdb_settings
# Prints the settings that initdb will write into postgresql.conf, in that file's form.
initdb_settings() {
  local name value
  while IFS=$'\t' read -r name value; do
    [[ "$name" != set || "$value" != *=* ]] || printf '%s = %s\n' "${value%%=*}" "$(quote_setting "${value#*=}")"
  done < <(initdb_options)
}

# usage: has_locale NAME
# locale(1) complains of one that is not there, and succeeds all the same.
has_locale() { [[ -z "$(LC_ALL="$1" locale 2>&1 >/dev/null)" ]]; }

# usage: check_locales_of_cluster SETTINGS
# A cluster that another image has made names that image's locales. PostgreSQL looks at what a later file does not override, though the
# command line may.
check_locales_of_cluster() {
  local name value origin
  while IFS=$'\t' read -r name value origin; do
    [[ "$name" == lc_@(messages|monetary|numeric|time) && -n "$value" ]] || continue
    has_locale "$value" || problem "$name is '$value' ($origin), a locale that this image does not have; PostgreSQL would not start.
Make an image with it, as docs/guides/locales.md shows (\"Locales\"). Databases that are sorted by it cannot be used without it; if there are none,
\`$name = C.UTF-8\` in postgresql.conf or in a file of /etc/postgresql/conf.d will do."
  done < <(awk -F '\t' '$3 != "command line" { last[$1] = $0 } END { for (name in last) print last[name] }' <<<"$1")
}

# usage: check_locales_of_initdb
check_locales_of_initdb() {
  local name value told=''
  while IFS=$'\t' read -r name value; do
    case "$name" in
      no-locale | locale) told=yes ;;&
      locale | lc-*) has_locale "$value" || problem "POSTGRES_INITDB_ARGS has --$name=$value, and this image does not have that locale of the C library.
$(locale_advice)" ;;
    esac
  done < <(initdb_options)
  [[ -n "$told" || -z "$(locale 2>&1 >/dev/null)" ]] ||
    problem "the environment asks for a locale that this image does not have: $(env | grep --extended-regexp '^(LANG|LC_[A-Z]+)=' | paste --serial --delimiters=' ').
$(locale_advice)"
}

# usage: locale_advice
locale_advice() {
  printf 'ICU'\''s are in it: --locale-provider=icu --icu-locale=de-DE. For others see docs/guides/locales.md.'
}

# usage: check_method
# Whether POSTGRES_HOST_AUTH_METHOD makes a line of pg_hba.conf that the server takes, alone and under Patroni. The server reads that file only
# when it starts, and cannot be asked before. What each method needs is in src/backend/libpq/hba.c. Options follow the method as in pg_hba.conf: `ldap ldapserver=ldap.example.net ldapbasedn="dc=example"`.
check_method() {
  local method="${POSTGRES_HOST_AUTH_METHOD%%[[:space:]]*}"
  case "$method" in
    '' | trust | reject | scram-sha-256 | md5 | password | ident) ;;
    ldap) check_method_build libldap && check_method_options 'ldapurl|ldapserver|ldapbasedn' 'ldapurl|ldapbasedn|ldapprefix|ldapsuffix' ;;
    radius) check_method_options radiusservers radiussecrets ;;
    gss) check_method_build libgssapi ;;
    pam) check_method_build libpam ;;
    oauth)
      ((PG_MAJOR >= 18)) || problem "POSTGRES_HOST_AUTH_METHOD is 'oauth', which PostgreSQL has from 18 on, and this is $PG_MAJOR"
      check_method_options issuer scope
      ;;
    cert | peer | sspi | bsd) problem "POSTGRES_HOST_AUTH_METHOD is '$method', which no line \`host\` of this server can have: $(method_place "$method").
$(method_advice)" ;;
    *) problem "POSTGRES_HOST_AUTH_METHOD is '$method', which is not an authentication method of pg_hba.conf: expected one such as scram-sha-256 (the default) or md5" ;;
  esac
}

# usage: check_method_build LIBRARY
# Whether the server was built with what the method needs, which it then links.
check_method_build() {
  grep --quiet --text --fixed-strings "$1" "$(type -P postgres)" ||
    problem "POSTGRES_HOST_AUTH_METHOD is '${POSTGRES_HOST_AUTH_METHOD%%[[:space:]]*}', and this image's PostgreSQL was built without it (it does not link $1)"
}

# usage: check_method_options NAMES...
# Each of NAMES is an option that must be there, or several by `|` of which one must.
check_method_options() {
  local names
  for names; do
    [[ ! "$POSTGRES_HOST_AUTH_METHOD" =~ [[:space:]]\"?($names)= ]] || continue
    problem "POSTGRES_HOST_AUTH_METHOD is '$(mask_secrets <<<"$POSTGRES_HOST_AUTH_METHOD")', and that method needs options: ${names//|/ or }.
Add them, as NAME=VALUE after the method. $(method_advice)"
    return 0
  done
}

# usage: method_place METHOD
method_place() {
  case "$1" in
    cert) printf 'it is for lines \x60hostssl\x60' ;;
    peer) printf 'it is for lines \x60local\x60' ;;
    *) printf 'it is for another operating system' ;;
  esac
}

# usage: method_advice
method_advice() {
  if [[ -n "${PATRONI_SCOPE:-}" ]]; then
    printf 'Or leave POSTGRES_HOST_AUTH_METHOD out, and give lines of your own to Patroni, in postgresql.pg_hba of a patroni.yml'
    return 0
  fi
  printf 'Or leave POSTGRES_HOST_AUTH_METHOD out, mount a pg_hba.conf of your own, and name it: -c hba_file=/etc/postgresql/pg_hba.conf'
}

# usage: method_is_trust
method_is_trust() { [[ "${POSTGRES_HOST_AUTH_METHOD%%[[:space:]]*}" == trust ]]; }
