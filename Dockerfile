# One image for all of the lab's own services. The project itself is mounted at /lab, so that what
# the learner edits is what workers import; labapp is built in.
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/lab
COPY requirements.lock /src/
RUN /opt/lab/bin/pip install --quiet --require-hashes --no-deps --requirement /src/requirements.lock
COPY pyproject.toml README.md LICENSE /src/
COPY labapp /src/labapp
# pip is not needed any more, and tests of libraries are not either
RUN /opt/lab/bin/pip install --quiet --no-deps --no-build-isolation /src \
    && /opt/lab/bin/python -m labapp.stack.container --stamp /src /opt/lab/built-from \
    && /opt/lab/bin/pip uninstall --quiet --yes mypy ruff pip \
    && find /opt/lab -type d \( -name tests -o -name test \) -path '*/site-packages/*' \
        -prune -exec rm -rf {} + \
    && find /opt/lab -name '*.pyc' -delete

FROM ${PYTHON_IMAGE}
# Volumes and mounts are written by whoever runs the lab, whatever their uid is.
RUN mkdir -m 1777 /run/lab && useradd --uid 1000 --create-home learner
COPY --from=build /opt/lab /opt/lab
ENV PATH=/opt/lab/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp LAB_CONTAINER=1
WORKDIR /lab
USER 1000:1000
ENTRYPOINT ["lab", "container"]
