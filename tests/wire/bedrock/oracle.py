"""AWS's own library as the judge. It ships no types, so it is loaded by name."""

from importlib import import_module
from typing import Any

EventStreamBuffer: Any = import_module("botocore.eventstream").EventStreamBuffer
SigV4Auth: Any = import_module("botocore.auth").SigV4Auth
AWSRequest: Any = import_module("botocore.awsrequest").AWSRequest
Credentials: Any = import_module("botocore.credentials").Credentials
