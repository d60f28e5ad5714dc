# One image for every role; the role is the command: igla serve | engine | scorer | arena | clock | work.
FROM python:3.11-slim

# Base plus these extras of pyproject.toml. An empty list makes a web image without torch.
ARG EXTRAS=engine,s3
ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    IGLA_HOST=0.0.0.0 \
    IGLA_DATA=/data \
    IGLA_TRUSTED_PROXIES=127.0.0.1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7

RUN useradd --uid 10001 --create-home igla && install --directory --owner=igla --group=igla /data
WORKDIR /app

# What is installed changes rarely: a layer of its own. The extra index has builds of torch for CPUs.
COPY pyproject.toml ./
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*p['dependencies'], *(one for extra in '${EXTRAS}'.split(',') if extra for one in p['optional-dependencies'][extra]), sep='\n')" \
    > /tmp/requirements.txt \
    && pip install --extra-index-url https://download.pytorch.org/whl/cpu -r /tmp/requirements.txt

COPY README.md LICENSE GLOSSARY.md plugins.py errors.py entrypoint.sh ./
COPY kernels kernels/
COPY training training/
COPY db db/
COPY bots bots/
COPY tools tools/
COPY server server/
RUN pip install --no-deps --editable .

USER igla
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD python -c "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ.get(\"PORT\", 8000)}/healthz', timeout=4)"
ENTRYPOINT ["sh", "/app/entrypoint.sh"]
CMD exec igla serve --port "${PORT:-8000}"
