# The image of all programs. scripts/image makes the same one without a container engine, and says what is in it; here it gathers
# the files, so that there is one list of them.
#
#   docker build --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) -t ghcr.io/k-vswitch/k-vswitch:0.1.0 .

FROM rust:1.95-slim-bookworm AS files
ARG SOURCE_DATE_EPOCH
WORKDIR /src
COPY . .
ENV CARGO_INCREMENTAL=0
RUN scripts/build
RUN apt-get update -qq && scripts/image --root /image

FROM scratch
COPY --from=files /image /
LABEL org.opencontainers.image.title=k-vswitch org.opencontainers.image.licenses=Apache-2.0
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["/usr/bin/k-vswitchd"]
