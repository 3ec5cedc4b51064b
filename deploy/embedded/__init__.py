"""The embedded stack: Apache Kafka and PostgreSQL on one machine, without Docker, root or a system Java.

Start with `stack.LocalStack`. Everything that can go wrong is a `StackError` with one plain sentence.
"""

from deploy.embedded.errors import StackError

__all__ = ["StackError"]
