# What repo2docker makes of this project, step by step, on the image that these tests have in place
# of its own; `jupyter-repo2docker --no-build --debug .` prints the real thing.
ARG PYTHON_IMAGE=python:3.13-slim-trixie
FROM ${PYTHON_IMAGE}
RUN useradd --uid 1000 --create-home jovyan && install --directory --owner jovyan /srv/notebook
ENV HOME=/home/jovyan REPO_DIR=/home/jovyan NB_PYTHON_PREFIX=/srv/notebook
ENV PATH=/srv/notebook/bin:$PATH
USER jovyan
WORKDIR ${REPO_DIR}
# The Jupyter part of its environment for Python 3.13, as of repo2docker 2026.4
# (buildpacks/conda/environment.py-3.13-linux-64.lock); the lock is installed over it.
RUN python -m venv ${NB_PYTHON_PREFIX} \
    && pip install --quiet --no-cache-dir ipywidgets==8.1.7 jupyter-offlinenotebook==0.3.2 \
        jupyter-resource-usage==1.2.0 jupyter-server==2.17.0 jupyterhub==5.4.0 jupyterlab==4.4.9 \
        notebook==7.4.7
COPY --chown=jovyan requirements.lock ./
COPY --chown=jovyan binder/requirements.txt binder/
RUN ${NB_PYTHON_PREFIX}/bin/pip install --quiet --no-cache-dir -r "binder/requirements.txt"
COPY --chown=jovyan . ./
RUN chmod +x binder/postBuild
RUN ./binder/postBuild
RUN chmod +x "${REPO_DIR}/binder/start"
ENV PYTHONUNBUFFERED=1
ENTRYPOINT ["/home/jovyan/binder/start"]
CMD ["jupyter", "notebook", "--ip", "0.0.0.0"]
