# Two images from one file: `--target coordinator` and `--target worker`. Needs BuildKit.
#   docker build --target worker --tag coordinator-worker .
# The base is any Debian-like image with Python >= 3.11, its venv module and CA certificates.
# docker/wheels and docker/certificates say how to build without a network or with your own authorities.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PATH=/opt/venv/bin:$PATH \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt \
    AWS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
RUN --mount=type=bind,source=docker/certificates,target=/certificates \
    find /certificates -name '*.crt' -exec cat {} + >> "$SSL_CERT_FILE" \
    && useradd --create-home --uid 10001 coordinator \
    && python3 -m venv --without-pip /opt/venv

# What installs, and is in no image: uv, hatchling, and whether to ask the package index.
FROM base AS tools
COPY requirements-build.txt /tools/
RUN --mount=type=bind,source=docker/wheels,target=/wheels \
    if [ -n "$(find /wheels -name '*.whl' -print -quit)" ]; then from="--no-index --find-links /wheels"; fi \
    && python3 -m venv /tools/venv \
    && PIP_CERT="$SSL_CERT_FILE" /tools/venv/bin/pip install --quiet ${from:-} -r /tools/requirements-build.txt \
    && printf '#!/bin/sh\nexec /tools/venv/bin/uv pip install --quiet --no-cache --python /opt/venv/bin/python %s "$@"\n' \
        "${from:+--offline $from}" > /tools/install \
    && chmod +x /tools/install

FROM tools AS wheel
WORKDIR /src
COPY pyproject.toml LICENSE ./
COPY coordinator coordinator
COPY job_defs job_defs
RUN /tools/venv/bin/python -m hatchling build --target wheel --directory /dist

FROM base AS coordinator
RUN --mount=type=bind,from=tools,source=/tools,target=/tools \
    --mount=type=bind,source=docker/wheels,target=/wheels \
    --mount=type=bind,source=requirements.txt,target=/requirements/core.txt \
    --mount=type=bind,source=requirements-debug.txt,target=/requirements/debug.txt \
    /tools/install -r /requirements/core.txt -r /requirements/debug.txt
RUN --mount=type=bind,from=tools,source=/tools,target=/tools \
    --mount=type=bind,from=wheel,source=/dist,target=/dist \
    /tools/install --no-deps /dist/*.whl
# By this, submit knows to warn of a ledger that would go with its container.
ENV IN_COORDINATOR_IMAGE=1
USER 10001
WORKDIR /home/coordinator
ENTRYPOINT ["coordinator"]
CMD ["--help"]

FROM base AS worker
# torch and what it needs is most of the image, and changes least: a layer that only its pins decide.
RUN --mount=type=bind,from=tools,source=/tools,target=/tools \
    --mount=type=bind,source=docker/wheels,target=/wheels \
    --mount=type=bind,source=requirements-torch.txt,target=/requirements/torch.txt \
    /tools/install --constraint /requirements/torch.txt torch
RUN --mount=type=bind,from=tools,source=/tools,target=/tools \
    --mount=type=bind,source=docker/wheels,target=/wheels \
    --mount=type=bind,source=requirements.txt,target=/requirements/core.txt \
    --mount=type=bind,source=requirements-worker.txt,target=/requirements/worker.txt \
    --mount=type=bind,source=requirements-torch.txt,target=/requirements/torch.txt \
    /tools/install -r /requirements/core.txt -r /requirements/worker.txt -r /requirements/torch.txt
RUN --mount=type=bind,from=tools,source=/tools,target=/tools \
    --mount=type=bind,from=wheel,source=/dist,target=/dist \
    /tools/install --no-deps /dist/*.whl
# What the NVIDIA container runtime reads: all devices, for computing.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001
WORKDIR /home/coordinator
ENTRYPOINT ["python", "-m", "coordinator.workers"]
