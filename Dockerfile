# The image of sallyport: one static binary, CA roots and a user, on scratch.
#
#   docker build --build-arg VERSION=v1.0.0 -t sallyport .
#
# compiles in BUILD_IMAGE. Where no image can be pulled, the target `prebuilt`
# takes the file system from dist/rootfs instead, which deploy/image/rootfs.sh
# laid out on the host; it is the last stage that this target needs, so
# BUILD_IMAGE is never asked for. Both targets begin with the stage `runtime`,
# so what is checked of one (deploy/image/check.sh) holds for the other.
ARG BUILD_IMAGE=golang:1.26.8-bookworm
ARG BASE_IMAGE=scratch

FROM ${BASE_IMAGE} AS runtime
ARG VERSION=dev
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="sallyport" \
      org.opencontainers.image.description="A forward proxy that puts Salesforce OAuth tokens into API calls" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/sallyport/sallyport" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
# Everything that changes lives in the state directory, so the root may be read-only.
ENV SALLYPORT_STATE_DIR=/var/lib/sallyport
# A number, so that Kubernetes' runAsNonRoot can see that it isn't root.
USER 65532:65532
WORKDIR /
EXPOSE 3128 3129
# SIGTERM drains: give it more than SALLYPORT_DRAIN_TIMEOUT.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["/usr/local/bin/sallyport", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/sallyport"]
CMD ["serve"]

FROM runtime AS prebuilt
COPY dist/rootfs/ /
COPY --chown=65532:65532 dist/rootfs.state/ /var/lib/
VOLUME ["/var/lib/sallyport"]

FROM ${BUILD_IMAGE} AS compile
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG COMMIT=unknown
RUN VERSION="${VERSION}" COMMIT="${COMMIT}" deploy/image/rootfs.sh /out/rootfs

FROM runtime AS sallyport
COPY --from=compile /out/rootfs/ /
COPY --from=compile --chown=65532:65532 /out/rootfs.state/ /var/lib/
VOLUME ["/var/lib/sallyport"]
