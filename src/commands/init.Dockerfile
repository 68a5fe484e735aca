# Built by BuildKit: `docker build .` reads image.yaml, which says what is in the image.

# Where pgsetup comes from. It is mounted and not copied, so it is not in the image.
@PGSETUP@
FROM @BASE@
# The major that image.yaml selects.
ENV PG_MAJOR=@MAJOR@ \
    PGDATA=/var/lib/postgresql/data \
    LANG=C.UTF-8 \
    PATH=/usr/lib/postgresql/@MAJOR@/bin:@PATRONI@/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# Options of `pgsetup install`, such as --locked; seconds since 1970 for reproducible images.
ARG PGSETUP_OPTIONS=
ARG SOURCE_DATE_EPOCH
# One layer: what is removed in it was never in the image.
RUN --mount=type=bind,target=/context \
    --mount=type=bind,from=pgsetup,source=/pgsetup,target=/run/pgsetup \
    --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=cache,target=/var/cache/pgsetup \
    --mount=type=cache,target=/var/tmp/pgsetup,sharing=private \
    --mount=type=secret,id=ca-certificates,target=/run/ca-certificates.pem \
    if [ -s /run/ca-certificates.pem ]; then export SSL_CERT_FILE=/run/ca-certificates.pem; fi && \
    if [ -d /context/vendor ]; then export PGSETUP_VENDOR=/context/vendor; fi && \
    /run/pgsetup entrypoint && \
    /run/pgsetup install /context/image.yaml $PGSETUP_OPTIONS
VOLUME /var/lib/postgresql/data
EXPOSE 5432
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=24h --start-period=24h --retries=2 \
    CMD ["/opt/container/entrypoint.d/scripts/runtime/healthcheck.sh", "--wait"]
USER postgres
ENTRYPOINT ["/entrypoint.sh"]
CMD ["postgres"]
