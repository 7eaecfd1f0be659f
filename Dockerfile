# The relay in a container. Nothing but /data is written, so the root file system can be read-only:
#
#   docker build -t quorumkey-relay .
#   docker run --read-only --cap-drop ALL -v quorumkey:/data -p 127.0.0.1:8080:8080 \
#     -e QUORUMKEY_RELAY_PUBLIC_URL=https://relay.example.com -e QUORUMKEY_RELAY_ATTESTATION=off \
#     quorumkey-relay
#
# compose.yaml says the same with every guard spelled out.

FROM python:3.13-slim AS build

WORKDIR /src
COPY constraints.txt ./
# The builder's own tools stay in the builder; the relay's environment gets no pip.
RUN pip install --no-cache-dir --constraint constraints.txt hatchling \
 && python -m venv --without-pip /opt/quorumkey
COPY sdk sdk
COPY attestation attestation
COPY relay relay
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir wheels ./sdk ./attestation ./relay \
 && pip --python /opt/quorumkey/bin/python install --no-cache-dir --constraint constraints.txt wheels/*.whl


FROM python:3.13-slim

RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin quorumkey \
 && install --directory --owner quorumkey --group quorumkey --mode 0700 /data
COPY --from=build /opt/quorumkey /opt/quorumkey

ENV PATH=/opt/quorumkey/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    QUORUMKEY_RELAY_DATA_DIR=/data \
    QUORUMKEY_RELAY_HOST=0.0.0.0 \
    QUORUMKEY_RELAY_PORT=8080

USER quorumkey
VOLUME ["/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['QUORUMKEY_RELAY_PORT']), timeout=2); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["quorumkey-relay"]
CMD ["serve"]
