#!/usr/bin/env bash
# What a careful engineer writes today instead of pgsetup's manifests: the same PostgreSQL, extensions and Patroni, of the
# same versions, with the same options and the same hardening, verified and cleaned up. Runs in a bare debian:bookworm.
#
# usage: setup.sh
#   SOURCES     where the archives and wheels are, a directory (default: /sources)
#   BUILD_DIR   where to compile (default: /usr/src)
set -Eeuo pipefail

readonly sources="${SOURCES:-/sources}" build="${BUILD_DIR:-/usr/src}"
readonly prefix=/usr/lib/postgresql/18
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
export PG_CONFIG=$prefix/bin/pg_config
jobs="$(nproc)"
readonly jobs

# usage: phase NAME     says what begins, and when
phase() {
  printf 'phase %s %s\n' "$EPOCHREALTIME" "$1"
}

# usage: fetch SHA256 FILE     downloads, verifies, and unpacks into the working directory
fetch() {
  curl --fail --silent --show-error --location --output "$2" "file://$sources/$2"
  printf '%s  %s\n' "$1" "$2" | sha256sum --check --quiet --strict
  mkdir "${2%.tar.*}"
  tar --extract --file "$2" --directory "${2%.tar.*}" --strip-components 1 --no-same-owner
  rm "$2"
  cd "${2%.tar.*}"
}

# usage: extension SHA256 FILE [ARG...]     compiles and installs by PGXS
extension() {
  cd "$build"
  fetch "$1" "$2"
  shift 2
  make -j"$jobs" USE_PGXS=1 PG_CONFIG="$PG_CONFIG" "$@"
  make USE_PGXS=1 PG_CONFIG="$PG_CONFIG" "$@" install
}

packages() {
  groupadd --system --gid 999 postgres
  useradd --system --uid 999 --gid 999 --no-create-home --home-dir /var/lib/postgresql --shell /bin/bash postgres
  apt-get update --quiet
  apt-get install --yes --quiet --no-install-recommends libnss-wrapper python3 xz-utils zstd
  manual="$(apt-mark showmanual)"
  readonly manual
  apt-get install --yes --quiet --no-install-recommends \
    bison bzip2 ca-certificates curl flex gcc libc6-dev libcurl4-openssl-dev libicu-dev libkrb5-dev libldap-dev \
    liblz4-dev libpam0g-dev libpython3-dev libreadline-dev libssl-dev libxml2-dev libxslt1-dev libzstd-dev make perl \
    pkg-config python3-pip python3-setuptools python3-venv python3-wheel uuid-dev zlib1g-dev
}

postgresql() {
  cd "$build"
  fetch 555610c24d53e4316da5b7d3fc25c279d96856d5e0e23ee308c328c5fa881d9f postgresql-18.6.tar.bz2
  CFLAGS='-O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2' LDFLAGS=-Wl,-z,relro,-z,now ./configure \
    --prefix=$prefix --datadir=/usr/share/postgresql/18 --sysconfdir=/etc/postgresql-common \
    --with-ssl=openssl --with-icu --with-lz4 --with-zstd --with-libxml --with-libxslt --with-gssapi --with-ldap \
    --with-pam --with-uuid=e2fs
  make -j"$jobs" world-bin
  make install-world-bin
}

extensions() {
  (
    cd "$build"
    fetch cb97770a221e5163cc66d87b49fac321c05bfaa8810bb1b75479dcb1b251a32f citus-14.0.1.tar.gz
    ./configure
    make -j"$jobs"
    make install
  )
  extension 10bf9938906e5d643bbc4a7eea104b6f57ba4898e5b76b20e60484ea1d5a7f8f pgvector-0.8.6.tar.gz OPTFLAGS=
  extension d950bc29155f31017567e23a31d268ff672e98276c0e9d062512fb7870351f03 pg_cron-1.6.7.tar.gz
  extension 462464d83389ef20256b982960646a1572341c0beb09eeff32b4a69f04e31b76 pg_partman-5.2.4.tar.gz SCRIPTS=
  extension 988e8afeda320ebe0a3e632ef6b6bce5d3a08346c2e100a173a585c9521d1fa5 pgaudit-18.0.tar.gz
  extension 9439892c0b7c7575677f61133e5692f3e8cfd5c6688c5db4fb202320c668c745 pg_repack-1.5.3.tar.gz
  extension e79b3a67df9821bc0d86fd463dac7249f1729d9dd04f77db767e2815098247b8 rum-1.3.15.tar.gz
  extension 59a56a8d5681cd89cea54e07b01ae46c13e57f1fb4dab077dc11464873073491 topn-2.7.0.tar.gz
}

patroni() {
  cd "$build"
  python3 -m venv --without-pip /opt/patroni
  # Archives are built once, with the headers that are there; what runs is wheels. psycopg finds its libpq by rpath.
  PATH="$prefix/bin:$PATH" CFLAGS=-g0 LDFLAGS=-Wl,-rpath,$prefix/lib python3 -m pip wheel --quiet --no-index --no-deps \
    --no-build-isolation --require-hashes --find-links "$sources" --wheel-dir wheels --requirement /dev/stdin <<'REQUIREMENTS'
patroni==4.1.5 --hash=sha256:7aad8c1539e6c51c269a8005169dd54ddc7668437b7900fa6099d7894e224c84
urllib3==2.8.0 --hash=sha256:0cf3cae568d36aa9576b28dfb35f11328f1cb974ca7647d9475ebb86c75ac6e3
PyYAML==6.0.3 --hash=sha256:b8bb0864c5a28024fac8a632c443c87c5aa6f215c0b126c449ae1a150412f31d
click==8.5.1 --hash=sha256:8bb5376d2006950386f8c6427613334a2acadc5f559cb80e638d00b4df957e37
prettytable==3.18.0 --hash=sha256:b3346e0e6f79180833aebaac088ae926340586cf6d7d991b9eb125b65f72313a
wcwidth==0.9.4 --hash=sha256:901eace6d2dd25ebb917d0ce5db18e5c537e1504c905cf32f0d006c12098b05d
python-dateutil==2.9.0.post0 --hash=sha256:a8b2bc7bffae282281c8140a97d3aa9c14da0b136dfe83f850eea9a5f7470427
six==1.17.0 --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274
psutil==7.2.2 --hash=sha256:076a2d2f923fd4821644f5ba89f059523da90dc9014e85f8e45a5774ca5bc6f9
ydiff==1.4.2 --hash=sha256:369be623dcde7954d98973fb9db1780d64f0353982bf3ac85818f3d62ff452b0
python-etcd==0.4.5 --hash=sha256:f1b5ebb825a3e8190494f5ce1509fde9069f2754838ed90402a8c11e1f52b8cb
dnspython==2.9.2 --hash=sha256:af15f7d385a6ae2fb35a796fde2138004c8c42c7389090e2addc83e3b3340fd8
py-consul==1.8.0 --hash=sha256:242f45d66c97224ecd04ba1dd4eb71053ed5a38dc7bb9b9387d2a882f7352d59
requests==2.34.2 --hash=sha256:2a0d60c172f83ac6ab31e4554906c0f3b3588d37b5cb939b1c061f4907e278e0
charset-normalizer==3.5.2 --hash=sha256:b6b751274acb69d77b3323d6b7dbaa3c7fdfc1eb829b7eb61d262f32e1af9685
idna==3.20 --hash=sha256:ab7ae7122974553370f0bdb919e1a960b2cd1bc1ef0276416d896db81c14582c
certifi==2026.10.18 --hash=sha256:73191c47aaa79da394e8fee2dbc2ec827432cab56311122c9e47abf79e390f62
kazoo==2.11.0 --hash=sha256:aa6be17159540dae4087661b8d4e24c7b58d4dc26170a2d5b8468b06712d84a9
psycopg==3.2.13 --hash=sha256:a481374514f2da627157f767a9336705ebefe93ea7a0522a6cbacba165da179a
psycopg-c==3.2.13 --hash=sha256:3f8d69a563f198198aaf3333e3830c68368a4e45cd60faeabca9949f958f6480
typing-extensions==4.16.0 --hash=sha256:481caa481374e813c1b176ada14e97f1f67a4539ce9cfeb3f350d78d6370c2e8
REQUIREMENTS
  python3 -m pip --quiet --python /opt/patroni/bin/python install --no-index --no-deps --no-compile wheels/*.whl
  /opt/patroni/bin/python -c 'import patroni.dcs.etcd3, patroni.dcs.consul, patroni.dcs.kubernetes, patroni.dcs.zookeeper, psycopg_c.pq'
}

image() {
  install --directory --owner postgres --group postgres --mode 0755 /var/lib/postgresql /etc/postgresql
  install --directory --owner postgres --group postgres --mode 0700 /var/lib/postgresql/data
  install --directory --owner postgres --group postgres --mode 3777 /run/postgresql /var/log/postgresql
  install --directory --mode 0755 /docker-entrypoint-initdb.d
  cat >/etc/postgresql/image.conf <<'SETTINGS'
citus.enable_statistics_collection = off
cron.use_background_workers = on
log_directory = '/var/log/postgresql'
shared_preload_libraries = 'citus,pg_cron,pgaudit'
unix_socket_directories = '/var/run/postgresql, /tmp'
SETTINGS
}

# Strips, removes what only a build needs, and keeps the packages of every library that is still linked to.
clean() {
  cd /
  rm -rf "${build:?}"/*
  rm -rf "$prefix/include" "$prefix/lib/pgxs" "$prefix/lib/pkgconfig" "$prefix"/lib/bitcode "$prefix"/share/{doc,man,locale}
  find "$prefix" -name '*.a' -delete
  find /opt/patroni -name __pycache__ -prune -exec rm -rf {} +
  find "$prefix" /opt/patroni -type f \( -executable -o -name '*.so*' \) -exec sh -c \
    'for file; do case "$(head -c 4 "$file" | tail -c 3)" in ELF) strip --strip-unneeded "$file" ;; esac; done' sh {} +
  apt-mark auto '.*' >/dev/null
  # shellcheck disable=SC2086 # names of packages are words
  apt-mark manual $manual >/dev/null
  find "$prefix" /opt/patroni -type f \( -executable -o -name '*.so*' \) -exec ldd '{}' ';' 2>/dev/null |
    awk '/=>/ { file = $(NF - 1); if (index(file, "/usr/lib/postgresql") == 1) next; print file; print "/usr" file }' |
    sort --unique | { xargs -r dpkg-query --search 2>/dev/null || true; } | cut --delimiter=: --fields=1 | sort --unique |
    xargs -r apt-mark manual >/dev/null
  apt-get purge --yes --quiet --auto-remove -o APT::AutoRemove::RecommendsImportant=false
  rm -rf /var/log/* /tmp/*
  "$prefix/bin/postgres" --version
  if find "$prefix" -type f -name '*.so*' -exec ldd {} + 2>/dev/null | grep --fixed-strings 'not found'; then
    return 1
  fi
}

phase packages
packages
phase compile
postgresql
extensions
patroni
phase compiled
clean
image
phase "done"
