# A PostgreSQL image made by pgsetup, in three stages: base, setup, runtime.
#
#   docker build .                                     wherever the internet is reachable
#   docker build --build-arg PG=17 --build-arg PG_MAJOR=17 --build-arg EXTENSIONS="citus pgvector" .
#   make image                                         the same, also where no image registry answers

# The distribution of every stage, which the manifests support: `--build-arg BASE=debian:trixie`. Where it is not given, it has to be
# the one that manifests/image.yaml names.
ARG BASE=
# Where the binaries come from: `compiled` builds them here, `prebuilt` takes dist/pgsetup and dist/pgstart (make pgsetup).
ARG PGSETUP=compiled

FROM rust:1-bookworm AS compiled
WORKDIR /source
COPY Cargo.toml Cargo.lock build.rs ./
COPY src src
COPY pgstart pgstart
# What the binary carries.
COPY manifests manifests
COPY entrypoint.d entrypoint.d
COPY docs/results/extensions.md docs/results/extensions.md
COPY tests/attribute tests/attribute
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    --mount=type=secret,id=ca-certificates,target=/run/ca-certificates.pem \
    if [ -s /run/ca-certificates.pem ]; then export CARGO_HTTP_CAINFO=/run/ca-certificates.pem; fi && \
    target="$(uname -m)-unknown-linux-gnu" && \
    export RUSTFLAGS="-C target-feature=+crt-static" && \
    cargo build --locked --release --target "$target" --package pgstart && \
    PGSETUP_PGSTART="/source/target/$target/release/pgstart" cargo build --locked --release --target "$target" --package pgsetup && \
    cp "target/$target/release/pgsetup" "target/$target/release/pgstart" /

FROM scratch AS prebuilt
COPY dist/pgsetu[p] dist/pgstar[t] /

# The binary and archives that are at hand, found by their digest; LICENSE is there so that COPY has something to
# copy where there is no vendor directory. Neither is in the image: setup only mounts them.
FROM ${PGSETUP} AS pgsetup

FROM scratch AS vendor
COPY LICENSE vendo[r] /vendor/

FROM ${BASE:-debian:bookworm} AS base
ARG PG=18
ARG PG_MAJOR=18
LABEL org.opencontainers.image.title="pgsetup PostgreSQL ${PG}" \
      org.opencontainers.image.description="PostgreSQL, Patroni, Citus and other extensions, compiled from verified sources" \
      org.opencontainers.image.licenses="Apache-2.0 AND PostgreSQL AND AGPL-3.0-only"
ENV PG_MAJOR=${PG_MAJOR} \
    PGDATA=/var/lib/postgresql/data \
    LANG=C.UTF-8 \
    PATH=/usr/lib/postgresql/${PG_MAJOR}/bin:/opt/patroni/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

FROM base AS setup
ARG BASE
ARG PG
# Empty: what manifests/image.yaml selects.
ARG EXTENSIONS=
ARG PREVIOUS=
# A cache that machines share what they have compiled through (`--artifact-cache`); its secret is the build secret
# `artifact-cache`.
ARG ARTIFACT_CACHE=
# Further options of `pgsetup install`.
ARG PGSETUP_OPTIONS=
# Seconds since 1970: the time of whatever this layer writes, on whatever day it is built, and the one that the receipt
# names. Later layers have the day they are made on, unless BuildKit rewrites it (`rewrite-timestamp`).
ARG SOURCE_DATE_EPOCH
# One layer: what is removed in it was never in the image. Compiling happens on a mount, because an overlay is slow.
# What the entrypoint calls, and links to files of the last stage under the names of the official image's programs, are made first, so that
# the receipt has them. Under the name of postgres, pgstart is how Patroni starts its servers.
RUN --mount=type=bind,from=pgsetup,source=/pgsetup,target=/run/pgsetup \
    --mount=type=bind,from=pgsetup,source=/pgstart,target=/run/pgstart \
    --mount=type=bind,source=manifests,target=/manifests \
    --mount=type=bind,from=vendor,source=/vendor,target=/vendor \
    --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=cache,target=/var/cache/pgsetup \
    --mount=type=cache,target=/var/tmp/pgsetup,sharing=private \
    --mount=type=secret,id=ca-certificates,target=/run/ca-certificates.pem \
    --mount=type=secret,id=artifact-cache,target=/run/artifact-cache \
    if [ -s /run/ca-certificates.pem ]; then export SSL_CERT_FILE=/run/ca-certificates.pem; fi && \
    if [ -s /run/artifact-cache ]; then auth="--artifact-cache-auth /run/artifact-cache"; fi && \
    install -D --mode=0755 /run/pgstart /opt/container/bin/pgstart && \
    ln --symbolic --force pgstart /opt/container/bin/postgres && \
    for name in backup restore restore-point; do ln --symbolic --force /opt/container/bin/pgstart "/usr/local/bin/$name"; done && \
    ln --symbolic --force /entrypoint.sh /usr/local/bin/docker-entrypoint.sh && \
    ln --symbolic --force /opt/container/entrypoint.d/scripts/gosu.sh /usr/local/bin/gosu && \
    /run/pgsetup install /manifests ${ARTIFACT_CACHE:+--artifact-cache "$ARTIFACT_CACHE" ${auth:-}} --vendor /vendor ${BASE:+--base "$BASE"} --pg "$PG" --previous "$PREVIOUS" --extensions "$EXTENSIONS" $PGSETUP_OPTIONS

FROM setup AS runtime
# As whom a container starts: postgres, or root as the official image does, which gives directories to postgres, reads root's secrets, and steps
# down for good before any program of PostgreSQL runs.
ARG START=postgres
# The official image's page names the sample without the major. Login shells, cron and `env -i` look for programs in /usr/bin.
RUN ln --symbolic "$PG_MAJOR/postgresql.conf.sample" /usr/share/postgresql/postgresql.conf.sample && \
    for program in "/usr/lib/postgresql/$PG_MAJOR/bin"/* /opt/patroni/bin/patroni*; do \
        if [ -x "$program" ] && [ ! -e "/usr/bin/${program##*/}" ]; then ln --symbolic "$program" /usr/bin/; fi; \
    done
COPY --chown=postgres:postgres entrypoint.d /opt/container/entrypoint.d
COPY --chown=postgres:postgres entrypoint.d/entrypoint.sh /entrypoint.sh
VOLUME /var/lib/postgresql/data
EXPOSE 5432
STOPSIGNAL SIGTERM
# With --wait the check ends by itself within 8 seconds, unless a dump is loaded, the server recovers, or the like: then it waits for the outcome,
# because an engine has no word for "not yet". So neither the time-out nor the start period has to be as long as the work.
HEALTHCHECK --interval=30s --timeout=24h --start-period=24h --retries=2 \
    CMD ["/opt/container/entrypoint.d/scripts/runtime/healthcheck.sh", "--wait"]
USER ${START}
ENTRYPOINT ["/entrypoint.sh"]
CMD ["postgres"]
