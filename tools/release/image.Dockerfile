# The binary and nothing else, for the Dockerfiles of others: COPY --from=pgsetup/pgsetup:VERSION /pgsetup /usr/local/bin/
FROM scratch
ARG TARGETARCH
ARG VERSION
COPY pgsetup-${VERSION}-linux-${TARGETARCH} /pgsetup
LABEL org.opencontainers.image.title="pgsetup" \
      org.opencontainers.image.description="Installs PostgreSQL, Patroni and extensions into an image from YAML manifests" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/pgsetup"]
