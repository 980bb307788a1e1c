"""A real cluster on this machine: two worker processes of one thread each."""

import sys
from importlib.util import find_spec

import pytest

if all(find_spec(name) for name in ("dask", "distributed", "pandas", "pyarrow")):
    import cloudpickle
    import distributed
else:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def cluster():
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(2, timeout=1200)
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as client:
        yield client


@pytest.fixture(autouse=True)
def _tests_by_value(request):
    """Send functions of the test module as they are: workers cannot import it."""
    module = sys.modules[request.module.__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)
