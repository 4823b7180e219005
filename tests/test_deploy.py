"""HendrixDeploy: the names and the options of hendrix 5, without a process."""

from __future__ import annotations

import warnings

import pytest
from twisted.application.service import MultiService, Service
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.web.resource import Resource

from hendrix import HendrixDeploy, HendrixDeployTLS
from hendrix.errors import ConfigurationError
from hendrix.options import DEFAULT_LISTEN, Settings


class Reactor(MemoryReactorClock):
    """In memory, and called from no other thread."""

    def callFromThread(self, function, *args, **keywords):
        function(*args, **keywords)


@pytest.fixture(autouse=True)
def _settings_of_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HENDRIX_LOG_FORMAT", raising=False)


def app(environ, start_response):
    return []


def deploy(**options):
    return HendrixDeploy("start", {"wsgi": app, **options}, reactor=Reactor())


def deploy_tls(certificate, **options):
    options = {"wsgi": app, **options}
    return HendrixDeployTLS("start", options, Reactor(), key=str(certificate.key), cert=str(certificate.cert))


def test_the_attributes_that_users_touch():
    reactor = Reactor()
    deployer = HendrixDeploy("start", {"wsgi": app, "loud": True, "max_upload_bytes": 10}, reactor)
    assert deployer.reactor is reactor
    assert deployer.application is app
    assert (deployer.options["http_port"], deployer.options["https_port"], deployer.options["loud"]) == (8000, 4430, True)
    assert deployer.options["https_only"] is False
    assert (deployer.services, deployer.resources, deployer.servers, deployer.hendrix) == ([], [], [], None)
    assert (deployer.is_secure, deployer.use_settings) == (False, False)


def test_the_options_of_hendrix_5_become_settings():
    assert deploy(http_port=8080, max_upload_bytes=10, loud=True).make_settings() == Settings(
        wsgi=app, http_port=8080, max_body=10, access_log="-"
    )


def test_the_keywords_of_settings_are_options():
    assert deploy(listen=["tcp:0"], threads=2, grace=5).make_settings() == Settings(wsgi=app, listen="tcp:0", threads=2, grace=5)


def test_without_a_port_it_listens_where_every_door_does():
    assert deploy().make_settings().listen == (DEFAULT_LISTEN,)
    assert deploy(http_port=8000).make_settings().listen == ("tcp:8000",)


def test_options_are_read_when_the_services_are_added():
    deployer = deploy()
    deployer.options["http_port"] = 8081
    assert deployer.make_settings().listen == ("tcp:8081",)


def test_unknown_options_are_tolerated_with_a_warning_at_the_caller():
    words = r"^HendrixDeploy: the option 'thread' is not known and has no effect; did you mean 'threads'\?$"
    with pytest.warns(UserWarning, match=words) as seen:
        deployer = HendrixDeploy(options={"wsgi": app, "thread": 1}, reactor=Reactor())
    assert seen[0].filename == __file__
    assert deployer.make_settings() == Settings(wsgi=app)


def test_what_hendrix_5_had_and_was_off_is_no_news():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        deploy(reload=False, cache=None, quiet=True, verbosity=None)


def test_a_thread_pool_is_tolerated_with_a_warning():
    with pytest.warns(UserWarning, match="threadpool is not used"):
        HendrixDeploy("start", {"wsgi": app}, Reactor(), object())


@pytest.mark.parametrize("action", ["stop", "restart"])
def test_other_actions_are_told_where_they_have_gone(action):
    with pytest.raises(ConfigurationError, match=f"^action={action}: only start is left"):
        HendrixDeploy(action, {"wsgi": app}, Reactor())


def test_a_wrong_setting_is_refused():
    with pytest.raises(ConfigurationError, match=r"^--threads=0: "):
        deploy(threads=0).addServices()
    with pytest.raises(ConfigurationError, match=r"^https_only=True: "):
        deploy(https_only=True).addServices()


def test_the_tree_is_a_multiservice_with_the_services_given():
    extra = Service()
    deployer = deploy(services=[("extra", extra)])
    deployer.addServices()
    deployer.addServices()
    deployer.catalogServers(deployer.hendrix)
    assert isinstance(deployer.hendrix, MultiService)
    assert deployer.servers == ["control", "sockets", "hub", "crew", "crosstown", "connections", "web", "extra"]
    assert deployer.hendrix.getServiceNamed("extra") is extra


@pytest.mark.parametrize("namespace", ["statics", b"statics", "/statics/"])
def test_resources_are_a_node_of_the_tree(namespace):
    deployer = deploy()
    resource = Resource()
    resource.namespace = namespace
    deployer.resources.append(resource)
    deployer.addServices()
    assert deployer.hendrix.getServiceNamed("resources").describe() == "/statics"


def test_workers_cannot_be_given_resources():
    resource = Resource()
    resource.namespace = "statics"
    with pytest.raises(ConfigurationError, match=r"^workers=2: .+ mount=\['/path=package.module.attribute'\], or give workers=0$"):
        deploy(resources=[resource], workers=2).addServices()


def test_a_resource_needs_a_namespace():
    with pytest.raises(ConfigurationError, match=r"^resources: .+ has the namespace None; give it the path to serve it under"):
        deploy(resources=[Resource()]).addServices()


def test_a_subclass_may_make_its_own_tree():
    class Mine(HendrixDeploy):
        def addHendrix(self):
            super().addHendrix()
            self.hendrix.addService(Service())

    deployer = Mine(options={"wsgi": app}, reactor=Reactor())
    deployer.addServices()
    assert len(list(deployer.hendrix)) == 8


def test_the_outcome_of_a_start_in_a_running_reactor_is_the_callers():
    deployer = deploy(wsgi="no_such_module:app", listen=[])
    deployer.addServices()
    with pytest.raises(ConfigurationError, match="there is no module 'no_such_module'"):
        deployer.start()


@pytest.mark.parametrize(
    ("options", "plain"),
    [
        ({}, ("tcp:8000",)),
        ({"https_port": 0}, ()),
        ({"https_port": 0, "http_port": 8080}, ("tcp:8080",)),
        ({"https_only": True}, ()),
        ({"https_only": True, "http_port": 8080}, ()),
        ({"https_port": 0, "listen": "unix:/tmp/hx"}, ("unix:/tmp/hx",)),
    ],
)
def test_tls_listens_beside_plain_http_unless_only_https_was_asked_for(certificate, options, plain):
    deployer = deploy_tls(certificate, **options)
    deployer.addSSLService()
    listen = deployer.make_settings().listen
    assert isinstance(listen[-1 if "listen" in options or not plain else 0], SSL4ServerEndpoint)
    assert tuple(one for one in listen if isinstance(one, str)) == plain
    assert deployer.is_secure


def test_key_and_cert_may_be_paths_or_objects_and_are_kept_as_given(certificate):
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificate
    from OpenSSL.crypto import X509, PKey

    key = load_pem_private_key(certificate.key.read_bytes(), None)
    cert = load_pem_x509_certificate(certificate.cert.read_bytes())
    options = {"wsgi": app, "https_port": 0}
    pairs = [(key, cert), (PKey.from_cryptography_key(key), X509.from_cryptography(cert)), (certificate.key, str(certificate.cert))]
    for pair in pairs:
        deployer = HendrixDeployTLS("start", options, Reactor(), key=pair[0], cert=pair[1])
        assert (deployer.key, deployer.cert) == pair
        deployer.addServices()
        assert deployer.hendrix.getServiceNamed("sockets").describe() == "ssl:0"
    named = HendrixDeployTLS("start", {**options, "key": str(certificate.key), "cert": str(certificate.cert)}, Reactor())
    assert named.key == str(certificate.key)


def test_what_is_wrong_with_key_and_cert_is_said(certificate):
    with pytest.raises(ValueError, match="needs key and cert"):
        HendrixDeployTLS("start", {"wsgi": app}, Reactor(), key=certificate.key)
    for key, cert, words in [
        ("/no/such.pem", certificate.cert, "^--key=/no/such.pem: No such file"),
        (certificate.other_key, certificate.cert, "^--key=.+ is not the key of the certificate"),
        (certificate.key, object(), "^--cert=<object .+: give a path, or an object of cryptography or pyOpenSSL"),
    ]:
        deployer = HendrixDeployTLS("start", {"wsgi": app}, Reactor(), key=key, cert=cert)
        with pytest.raises(ConfigurationError, match=words):
            deployer.addServices()


def test_a_context_factory_is_called_with_key_cert_and_its_keywords(certificate):
    calls = []
    deployer = HendrixDeployTLS(
        "start", {"wsgi": app}, Reactor(), key="k", cert="c",
        context_factory=lambda *args, **keywords: calls.append((args, keywords)), context_factory_kwargs={"curve_name": "x"},
    )  # fmt: skip
    deployer.addServices()
    assert calls == [(("k", "c"), {"curve_name": "x"})]
