"""Crypto-shredding: a child's key is destroyed, and with it everything that identifies the child."""

from uuid import UUID

from runtime import Tx
from services.registry.store.file_ends import lock_file_ends
from services.registry.store.files import current_files, merge_trees

SHRED = (
    "SELECT FROM child WHERE child_id = ANY($1::uuid[]) ORDER BY child_id FOR UPDATE",
    "DELETE FROM child_key WHERE child_id = ANY($1::uuid[])",
    "DELETE FROM blocking_key WHERE child_id = ANY($1::uuid[])",
    """
    UPDATE record SET evidence = '\\x00', identity = NULL, birth_date = NULL, content = '', must_link_group = NULL
     WHERE child_id = ANY($1::uuid[])
    """,
    "UPDATE finding SET identity = NULL, sealed = NULL WHERE child_id = ANY($1::uuid[])",
    # What an agency still has is withdrawn at the end of the day.
    """
    UPDATE disclosure SET digest = NULL, withdrawn_from = array_append(array_remove(withdrawn_from, unit), unit)
     WHERE child_id = ANY($1::uuid[]) AND unit IS NOT NULL AND digest IS NOT NULL
    """,
    """
    UPDATE child SET destroyed = true, dependency_keys = '{}', child_version = child_version + 1
     WHERE child_id = ANY($1::uuid[])
    """,
)


async def destroy_keys(tx: Tx, child: UUID) -> None:
    """Shred a child's identity irrecoverably, in all files merged with it. Facts, which identify nobody, are kept.

    Nothing is added to these files afterwards: later records of the child open another file.
    """
    await lock_file_ends(tx, closing=True)  # no merge is under way that would carry records out of the tree
    tops = {file.child for file in (await current_files(tx, [child])).values()}
    tree = list(await merge_trees(tx, tops))
    for statement in SHRED:
        await tx.execute(statement, tree)
