# syntax=docker/dockerfile:1

# The gateway's image; docs/deployment.md says how to build, run and update it.
# No compiler is needed: every locked package has wheels for linux/amd64 and linux/arm64.

# The Python that the tests and bench/RESULTS.md ran on.
ARG PYTHON=3.11-slim-trixie

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# What builds the wheel stays in this stage.
COPY requirements-build.lock ./
RUN pip install --quiet --require-hashes --only-binary :all: -r requirements-build.lock

# Dependencies before code: they change less often, and a layer that is known is not built again.
COPY requirements-image.lock ./
RUN python -m venv --without-pip /opt/brain
RUN pip --python /opt/brain/bin/python install --quiet --no-compile --require-hashes \
      --only-binary :all: -r requirements-image.lock

COPY pyproject.toml README.md LICENSE routes.yaml ./
COPY schemas schemas
COPY plugins plugins
COPY proxy proxy
RUN pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
RUN pip --python /opt/brain/bin/python install --quiet --no-compile --no-deps --no-index dist/*.whl

# With a read-only root no bytecode can be written later. Unchecked: nobody edits an image's source,
# so no import has to look at it. -f: what ran above has left some of the other kind.
RUN python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash /opt/brain/lib


FROM python:${PYTHON}

# The base image comes without the standard library's bytecode: each health check would compile
# what it imports, every ten seconds.
RUN python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash \
      -x '/(site-packages|dist-packages|tests?|ensurepip|idlelib|lib2to3|tkinter|turtledemo)/' \
      "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"

# The uid is fixed: volumes, tmpfs mounts and the mode of mounted files depend on it.
RUN groupadd --gid 10001 brain \
 && useradd --uid 10001 --gid brain --no-create-home --home-dir /nonexistent \
      --shell /usr/sbin/nologin brain
RUN install -d -o 10001 -g 10001 -m 0700 /run/brain /var/lib/brain

COPY --from=build /opt/brain /opt/brain
COPY routes.yaml /etc/brain/routes.yaml

# The control socket is where `brain status` and `brain reload` find it without an option.
ENV PATH=/opt/brain/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    BRAIN_CONTROL=/run/brain/brain.sock

LABEL org.opencontainers.image.title="Brain Gateway" \
      org.opencontainers.image.description="A reverse proxy that is configured by one YAML file." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"

USER 10001:10001
# `brain check` and `brain routes` read routes.yaml of the folder that they are called in.
WORKDIR /etc/brain
EXPOSE 8080 9901
STOPSIGNAL SIGTERM
# `brain status --quiet` waits 3 s for an answer at most. Traefik sends nothing before the first
# success: until then it is tried every second.
HEALTHCHECK --interval=10s --timeout=5s --retries=3 --start-period=15s --start-interval=1s \
  CMD ["brain", "status", "--quiet"]
ENTRYPOINT ["brain"]
CMD ["run", "/etc/brain/routes.yaml"]
