import numpy as np

from pyg_samsa.chem.graph_table import join_tables, make_table
from pyg_samsa.chem.ogb_features import smiles_to_table


def test_a_table_of_nothing_joins_with_others():
    empty, table = make_table([]), smiles_to_table(["CC", "O"])
    joined = join_tables([empty, table, empty])
    for name in table._fields:
        assert np.array_equal(getattr(joined, name), getattr(table, name))
        assert getattr(joined, name).dtype == getattr(empty, name).dtype


def test_joining_tables_is_converting_at_once():
    whole = smiles_to_table(["CC", "O", "C1CC1"])
    parts = join_tables([smiles_to_table(["CC", "O"]), smiles_to_table(["C1CC1"])])
    for one, other in zip(whole, parts, strict=True):
        assert np.array_equal(one, other)
