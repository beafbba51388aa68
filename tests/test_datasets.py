"""Files of data: what is in them, and what is said where they are damaged."""

import gzip
import struct
import sys
from urllib.error import URLError

import numpy as np
import pandas as pd
import pytest
from harness import mnist_or_give_up

from xpnet.datasets import (
    load_mnist,
    numeric_features,
    read_idx,
    read_table,
    split_target,
)
from xpnet.exceptions import DataError, MissingDependencyError

# --------------------------------------------------------------------------------- IDX


def idx(values, code=8, dtype="u1"):
    """Return an array in the IDX format."""
    values = np.asarray(values)
    header = struct.pack(">BBBB", 0, 0, code, values.ndim)
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    return header + sizes + values.astype(dtype).tobytes()


@pytest.fixture
def path(tmp_path):
    """A file that does not exist yet."""
    return tmp_path / "values"


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("code", "dtype"),
    [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")],
)
def test_read_idx(path, code, dtype, compress):
    values = np.arange(24).reshape(2, 3, 4) - (0 if dtype == "u1" else 12)
    path.write_bytes(compress(idx(values, code, dtype)))
    read = read_idx(path)
    np.testing.assert_array_equal(read, values)
    assert read.dtype == np.dtype(dtype).newbyteorder("=")
    assert read.dtype.isnative
    assert read.flags.writeable


WHOLE = idx([[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "begins with nothing"),
        (b"\0\0", "begins with 00 00"),
        (b"P5 28 28", "begins with 50 35 20 32"),
        (b"\0\0\x07" + WHOLE[3:], "begins with 00 00 07 02"),
        (WHOLE[:9], "begins with 00 00 08 02"),
        (WHOLE[:-1], r"cut short: shape \(2, 3\) takes 18 bytes, found 17"),
        (WHOLE + b"\0", r"too long: shape \(2, 3\) takes 18 bytes, found 19"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "cut short"),  # more than memory holds
        (gzip.compress(WHOLE)[:-9], "gzip compression is broken"),
        (gzip.compress(WHOLE)[:-8] + b"\0" * 8, "gzip compression is broken"),
        (b"\x1f\x8b" + b"\x08" * 20, "gzip compression is broken"),
        (gzip.compress(WHOLE[:-1]), "cut short"),
    ],
)
def test_read_idx_damaged(path, data, problem):
    path.write_bytes(data)
    with pytest.raises(DataError, match=problem) as raised:
        read_idx(path)
    assert str(path) in str(raised.value)
    assert "Fetch the file again" in str(raised.value)


# ------------------------------------------------------------------------------- MNIST

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@pytest.fixture
def home(tmp_path, rng, monkeypatch):
    """A folder of the four files, small; two of them compressed."""
    monkeypatch.delenv("XPNET_DATA", raising=False)
    for part, n_samples in (("train", 5), ("t10k", 3)):
        images = idx(rng.integers(256, size=(n_samples, 28, 28)))
        labels = idx(rng.integers(10, size=n_samples))
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    return tmp_path


def test_load_mnist(home):
    mnist = load_mnist(home)
    assert [part.shape for part in mnist] == [(5, 784), (5,), (3, 784), (3,)]
    assert {part.dtype.name for part in mnist} == {"uint8"}
    images = read_idx(home / "t10k-images-idx3-ubyte.gz")
    np.testing.assert_array_equal(mnist.X_test[2], images[2].ravel())
    np.testing.assert_array_equal(
        mnist.y_train, read_idx(home / "train-labels-idx1-ubyte")
    )


def test_load_mnist_folder_by_environment(home, tmp_path, monkeypatch):
    monkeypatch.setenv("XPNET_DATA", str(home))
    assert load_mnist().X_train.shape == (5, 784)
    monkeypatch.setenv("XPNET_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(DataError, match="elsewhere has no file"):
        load_mnist()
    assert load_mnist(home).X_train.shape == (5, 784)


def test_load_mnist_uncompressed_first(home):
    (home / f"{NAMES[1]}.gz").write_bytes(b"never read")
    assert load_mnist(home).y_train.shape == (5,)


@pytest.mark.parametrize("name", NAMES)
def test_load_mnist_missing_file(home, name):
    next(home.glob(f"{name}*")).unlink()
    with pytest.raises(DataError, match=f"has no file {name} or {name}.gz") as raised:
        load_mnist(home)
    assert "--data-home" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        (NAMES[1], idx([1, 2, 3, 4]), "4 labels for the 5 images"),
        (NAMES[1], idx([1, 2, 3, 4, 10]), r"labels in 0 … 9, got uint8 .* up to 10"),
        (NAMES[1], idx([1.5] * 5, 13, ">f4"), "expected n uint8 labels"),
        (NAMES[1], idx(np.zeros((5, 1))), "expected n uint8 labels"),
        (NAMES[2], idx(np.zeros((3, 28, 27))), r"got uint8 of shape \(3, 28, 27\)"),
        (NAMES[2], idx(np.zeros((3, 28, 28)), 14, ">f8"), "got float64"),
        (NAMES[2], idx([1, 2, 3]), r"got uint8 of shape \(3,\)"),
    ],
)
def test_load_mnist_wrong_content(home, name, values, problem):
    (home / name).write_bytes(values)
    with pytest.raises(DataError, match=problem) as raised:
        load_mnist(home)
    assert name in str(raised.value)


@pytest.fixture
def openml(monkeypatch):
    """Set what ``fetch_openml`` does."""
    monkeypatch.delenv("XPNET_DATA", raising=False)

    def replace(fetch):
        monkeypatch.setattr("xpnet.datasets._mnist.fetch_openml", fetch)

    return replace


def test_load_mnist_from_openml(openml, rng):
    X = rng.integers(256, size=(70_000, 4))
    y = rng.integers(10, size=70_000)
    asked = []

    def fetch(name, **kwargs):
        asked.append((name, kwargs["version"], kwargs["as_frame"]))
        return X.astype(np.int64), y.astype(str).astype(object)

    openml(fetch)
    mnist = load_mnist()
    assert asked == [("mnist_784", 1, False)]
    assert {part.dtype.name for part in mnist} == {"uint8"}
    np.testing.assert_array_equal(mnist.X_train, X[:60_000])
    np.testing.assert_array_equal(mnist.X_test, X[60_000:])
    np.testing.assert_array_equal(mnist.y_train, y[:60_000])
    np.testing.assert_array_equal(mnist.y_test, y[60_000:])


@pytest.mark.parametrize(
    "failure",
    [URLError("no network"), ValueError("md5 differs"), ImportError("pandas")],
)
def test_load_mnist_download_fails(openml, failure):
    def fetch(*_args, **_kwargs):
        raise failure

    openml(fetch)
    with pytest.raises(DataError, match=r"--data-home FOLDER.*XPNET_DATA") as raised:
        load_mnist()
    assert str(failure) in str(raised.value)


def test_load_mnist_itself():
    mnist_or_give_up()
    mnist = load_mnist()
    assert [len(part) for part in mnist] == [60_000, 60_000, 10_000, 10_000]
    assert mnist.y_train[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(mnist.y_test).tolist() == [
        *(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    ]


# ------------------------------------------------------------------------------ tables


@pytest.fixture
def table():
    """Two numeric features and string labels."""
    return pd.DataFrame(
        {"length": [1.5, 2.0, 0.5], "fins": [2, 3, 2], "fish": ["a", "b", "a"]}
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet", "CSV"])
def test_read_table(table, tmp_path, suffix):
    path = tmp_path / f"fish.{suffix}"
    if suffix == "parquet":
        table.set_index([[7, 8, 9]]).to_parquet(path)
    else:
        table.to_csv(path, index=False)
    pd.testing.assert_frame_equal(read_table(path), table)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", b"", "can't be read as csv"),
        ("a.csv", b"x,y\n", "is empty"),
        ("a.csv", b"x,y\n1,2\n3,4,5\n", "can't be read as csv"),
        ("a.csv", b"x,y\n1,2,3\n4,5,6\n", "Length of header or names"),
        ("a.csv", b"x,y\n1,\xe9\n", "can't be read as csv"),
        ("a.parquet", b"no parquet file", "can't be read as parquet"),
        ("a.txt", b"x,y\n1,2\n", r"ends in \.csv or \.parquet"),
    ],
)
def test_read_table_unusable(tmp_path, name, content, problem):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=problem) as raised:
        read_table(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("name", ["none.csv", "none.parquet"])
def test_read_table_absent(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=name):
        read_table(tmp_path / name)


def test_read_table_without_pandas(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'xpnet\[cli\]'"):
        read_table(tmp_path / "a.csv")


def test_read_table_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'xpnet\[cli\]'"):
        read_table(tmp_path / "a.parquet")


def test_read_table_bears_delimiters_at_the_ends(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,2,\n3,4,\n")
    assert read_table(path).to_dict("list") == {"x": [1, 3], "y": [2, 4]}


def test_split_target(table):
    X, y = split_target(table, "fish")
    pd.testing.assert_frame_equal(X, table[["length", "fins"]])
    assert y.tolist() == ["a", "b", "a"]


@pytest.mark.parametrize("target", ["bird", None])
def test_split_target_absent(table, target):
    with pytest.raises(DataError, match="'length', 'fins', 'fish'"):
        split_target(table, target)


def test_split_target_lists_ten_columns():
    wide = pd.DataFrame(np.zeros((1, 784))).rename(columns=str)
    with pytest.raises(DataError, match="'8', '9' and 774 more"):
        split_target(wide, "label")


def test_split_target_without_a_value(table):
    table.loc[1:, "fish"] = None
    with pytest.raises(DataError, match=r"'fish' has no value in 2 of 3 rows.* row 2"):
        split_target(table, "fish")


def test_split_target_leaves_no_features(table):
    with pytest.raises(DataError, match="no features"):
        split_target(table[["fish"]], "fish")


def test_numeric_features_in_the_order_asked_for(table):
    assert list(numeric_features(table, ["fins", "length"])) == ["fins", "length"]


@pytest.mark.parametrize(
    "values",
    [[True, False, True], np.array([1, 2, 3], "uint8"), pd.array([1, 2, 3], "Int64")],
)
def test_numeric_features_of_any_numeric_type(table, values):
    X = numeric_features(table.assign(fins=values), ["fins"])
    np.testing.assert_array_equal(X.to_numpy(np.float64)[:, 0], np.asarray(values))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([1, None, 3], "'fins' has no value in row 2"),
        (pd.array([1, 2, None], "Int64"), "'fins' has no value in row 3"),
        (["1", "2", "two"], "'fins' holds 'two' in row 3"),
        (["1", "2", "3"], "'fins' holds '1' in row 1"),
        ([1, np.inf, 3], "'fins' holds inf in row 2"),
        (pd.to_datetime(["2024-01-01"] * 3), "'fins' holds Timestamp.* in row 1"),
    ],
)
def test_numeric_features_not_a_number(table, values, problem):
    with pytest.raises(DataError, match=problem):
        numeric_features(table.assign(fins=values), ["length", "fins"])


def test_numeric_features_names_what_is_missing(table):
    with pytest.raises(DataError, match="lacks the features 'a', 'b'; its columns"):
        numeric_features(table, ["a", "fins", "b"])
