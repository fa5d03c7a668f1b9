# One image for all programs: `gateway` (the default), `broker` and `client`, and `tsudoi`, which starts any of them.

FROM python:3.13-slim AS build
COPY requirements.txt /
# The environment gets no pip of its own: the builder's installs into it, so that the image below cannot install anything.
RUN python -m venv --without-pip /opt/tsudoi \
 && pip --disable-pip-version-check --python /opt/tsudoi/bin/python install --no-cache-dir --no-compile \
        --require-hashes --only-binary :all: --requirement /requirements.txt
COPY tsudoi /opt/tsudoi/app/tsudoi
COPY broker /opt/tsudoi/app/broker
COPY gateway /opt/tsudoi/app/gateway
COPY client /opt/tsudoi/app/client
# Compiled here, since the service runs as a user who may not write beside the sources.
RUN /opt/tsudoi/bin/python -m compileall -q /opt/tsudoi \
 && for program in tsudoi broker gateway client; do \
      printf '#!/bin/sh\nexec python -m %s "$@"\n' "$program" >"/opt/tsudoi/bin/$program" \
      && chmod 755 "/opt/tsudoi/bin/$program" || exit 1; \
    done


FROM python:3.13-slim
LABEL org.opencontainers.image.title="tsudoi" \
      org.opencontainers.image.description="Group chat rooms over TCP and UDP: gateway, broker and client" \
      org.opencontainers.image.licenses="MIT"
# The places of docker-compose.yml's volumes, which take their owner from here.
RUN groupadd --gid 10001 tsudoi \
 && useradd --uid 10001 --gid tsudoi --no-create-home --home-dir /data --shell /usr/sbin/nologin tsudoi \
 && install --directory --owner tsudoi --group tsudoi --mode 0750 /data /keys /keys/gateways /key /public \
    /operator /passwords /password /sessions
COPY --from=build /opt/tsudoi /opt/tsudoi
ENV PATH=/opt/tsudoi/bin:$PATH \
    PYTHONPATH=/opt/tsudoi/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TSUDOI_DATA=/data \
    TSUDOI_STORE=sqlite:/data/tsudoi.sqlite \
    TSUDOI_KEYS=/keys \
    TSUDOI_HTTP=0.0.0.0:9080 \
    TSUDOI_WEB=0.0.0.0:9006
WORKDIR /opt/tsudoi/app
USER tsudoi
VOLUME /data
EXPOSE 9001/tcp 9002/udp 9006/tcp
STOPSIGNAL SIGTERM
# Asks the gateway whether a probe came back from its broker lately; in a container that runs the broker, whether that can
# serve, if it has TSUDOI_BROKER_HTTP at the same port (docker-compose.yml).
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["python", "-m", "gateway.process.ask_health"]
CMD ["python", "-m", "gateway"]
