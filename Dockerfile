# One image for both services: `python -m gateway` (the default) and `python -m broker`.

FROM python:3.13-slim AS build
COPY requirements.txt /
# The environment gets no pip of its own: the builder's installs into it, so that the image below cannot install anything.
RUN python -m venv --without-pip /opt/tsudoi \
 && pip --disable-pip-version-check --python /opt/tsudoi/bin/python install --no-cache-dir --no-compile \
        --require-hashes --only-binary :all: --requirement /requirements.txt
COPY tsudoi /opt/tsudoi/app/tsudoi
COPY broker /opt/tsudoi/app/broker
COPY gateway /opt/tsudoi/app/gateway
# Compiled here, since the service runs as a user who may not write beside the sources.
RUN /opt/tsudoi/bin/python -m compileall -q /opt/tsudoi


FROM python:3.13-slim
LABEL org.opencontainers.image.title="tsudoi" \
      org.opencontainers.image.description="Group chat rooms over TCP and UDP: gateway and broker" \
      org.opencontainers.image.licenses="MIT"
RUN groupadd --gid 10001 tsudoi \
 && useradd --uid 10001 --gid tsudoi --no-create-home --home-dir /data --shell /usr/sbin/nologin tsudoi \
 && install --directory --owner tsudoi --group tsudoi --mode 0750 /data /keys /key
COPY --from=build /opt/tsudoi /opt/tsudoi
ENV PATH=/opt/tsudoi/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TSUDOI_DATA=/data \
    TSUDOI_STORE=sqlite:/data/tsudoi.sqlite \
    TSUDOI_KEYS=/keys \
    TSUDOI_HTTP=0.0.0.0:9080
WORKDIR /opt/tsudoi/app
USER tsudoi
VOLUME /data
EXPOSE 9001/tcp 9002/udp
STOPSIGNAL SIGTERM
# Asks the gateway whether a probe came back from its broker lately; a container that runs the broker asks the broker
# instead (docker-compose.yml).
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["python", "-m", "gateway.process.ask_health"]
CMD ["python", "-m", "gateway"]
