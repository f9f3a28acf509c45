"""The TLS context of the main listener. It is made once, before the workers are forked, so that they share its session-ticket keys."""

import ssl

from setpoint.app.tree import TlsFiles


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS 1.2 and 1.3 with ALPN http/1.1. Raises OSError or ssl.SSLError when the files cannot be read or do not belong together."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(files.certificate, files.key)
    return context


def problem_with(files: TlsFiles) -> str:
    """Why `server_context` would fail, for the person who can mend it; empty when it would not."""
    try:
        server_context(files)
    except FileNotFoundError:
        missing = files.key if files.certificate.exists() else files.certificate
        return f"server.tls: there is no file {missing}"
    except ssl.SSLError as error:
        return f"server.tls: {files.certificate} and {files.key} cannot be used together: {error.reason or error}"
    except OSError as error:
        return f"server.tls: cannot read {files.certificate} and {files.key}: {error.strerror}"
    return ""
