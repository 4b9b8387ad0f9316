"""What an object is that is no array of numbers, and what to do with it: the errors of :func:`martlet._array.as_array`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import DTypeError, InvalidArgumentError

if TYPE_CHECKING:
    from ._array import Array


#: Elements among which an error's cause is looked for.
_MOST_SEARCHED = 100_000


def not_an_array(value: Any, name: str, error: Exception) -> InvalidArgumentError:
    """The error for what NumPy cannot make an array of."""
    if isinstance(value, (list, tuple)):
        lengths = sorted({len(row) for row in value if hasattr(row, "__len__") and not isinstance(row, str)})
        if len(lengths) > 1:
            return InvalidArgumentError(
                f"{name}: expected rows of one length; got lengths from {lengths[0]} to {lengths[-1]}. "
                "Fill the shorter rows up, or train on batches of one length each."
            )
    if hasattr(value, "detach"):
        return InvalidArgumentError(
            f"{name}: expected an array of numbers; got a {type(value).__name__} that NumPy cannot read ({error}). "
            f"Give {name}.detach().cpu()."
        )
    return InvalidArgumentError(f"{name} is not an array of numbers: {error}")


def numbers_of(value: Any, array: Array, name: str) -> Array:
    """The numbers of an object of which NumPy made an array of objects, text or dates; mostly there are none.

    Columns of pandas' nullable types are read if no value is missing.

    Raises
    ------
    DTypeError
        The message says what came, in which column or place, and what to do.
    """
    if type(value).__module__.startswith("scipy.sparse"):
        raise DTypeError(
            f"{name}: expected a dense array; got a sparse {type(value).__name__} of scipy. Give {name}.toarray(), "
            "or its rows batch by batch."
        )
    if hasattr(value, "__next__") or (array.ndim == 0 and hasattr(value, "__iter__") and not hasattr(value, "keys")):
        raise DTypeError(
            f"{name}: expected an array; got a {type(value).__name__}, which gives values one after another. To train on "
            "batches, call trainer.step(x, y) for each; to have one array, np.concatenate(list(...))."
        )
    if hasattr(value, "iloc") and hasattr(value, "columns"):
        return _frame([(str(label), value.iloc[:, place]) for place, label in enumerate(value.columns)], name)
    if hasattr(value, "iloc"):
        return _frame([(str(value.name), value)], name)[:, 0]
    if hasattr(value, "get_columns"):
        _check_columns([(str(column.name), column) for column in value.get_columns()], name)
    elif hasattr(value, "column_names") and hasattr(value, "column"):
        _check_columns([(str(label), value.column(label)) for label in value.column_names], name)
    raise _of_elements(value, array, name)


def _frame(columns: list[tuple[str, Any]], name: str) -> Array:
    """The columns of a pandas table, side by side."""
    found = []
    for label, column in columns:
        dtype = column.dtype
        kind = getattr(dtype, "kind", "O")
        is_nullable = not isinstance(dtype, np.dtype) and kind in "iufb" and getattr(dtype, "name", "") != "category"
        if is_nullable and column.isna().any():
            place = int(np.flatnonzero(np.asarray(column.isna()))[0])
            raise DTypeError(
                f"{name}: expected numbers; got a missing value in column {label!r} ({dtype}), row {place}. "
                f"Fill or drop it, for example with {name}.fillna(0)."
            )
        if not is_nullable and kind not in "iufb":
            raise _column_error(label, dtype, np.asarray(column), name)
        found.append(column.to_numpy(dtype=np.dtype(f"{kind}{getattr(dtype, 'itemsize', 8)}")) if is_nullable else column)
    return np.stack([np.asarray(column) for column in found], axis=1)


def _check_columns(columns: list[tuple[str, Any]], name: str) -> None:
    """Names the first column of a polars or pyarrow table that holds no numbers."""
    for label, column in columns:
        array = np.asarray(column)
        if array.dtype.kind not in "iufb":
            raise _column_error(label, getattr(column, "dtype", getattr(column, "type", array.dtype)), array, name)


def _column_error(label: str, dtype: Any, array: Array, name: str) -> DTypeError:
    what = _what(array)
    remedies = {
        "text": "Number its values, or leave the column out",
        "dates": "Convert them to numbers, such as days since the first, or leave the column out",
    }
    remedy = remedies.get(what, "Convert it to numbers, or leave the column out")
    return DTypeError(f"{name}: expected columns of numbers; got {what} in column {label!r} ({dtype}). {remedy}.")


def _what(array: Array) -> str:
    if array.dtype.kind in "US":
        return "text"
    if array.dtype.kind in "Mm":
        return "dates"
    for item in islice(array.flat, _MOST_SEARCHED):
        if isinstance(item, (str, bytes)):
            return "text"
        if type(item).__name__ in ("Timestamp", "datetime", "date", "Timedelta", "timedelta"):
            return "dates"
    return "objects"


def _of_elements(value: Any, array: Array, name: str) -> DTypeError:
    """The error for an array of objects, text or dates, by what it holds."""
    if array.dtype.kind in "US":
        return DTypeError(
            f"{name}: expected numbers; got text ({array.dtype}), such as {_first(array)!r}. Number its values first."
        )
    if array.dtype.kind in "Mm":
        return DTypeError(
            f"{name}: expected numbers; got dates ({array.dtype}). Convert them, for example with "
            f"({name} - {name}.min()) / np.timedelta64(1, 'D')."
        )
    if array.dtype.names:
        return DTypeError(
            f"{name}: expected numbers; got records with the fields {', '.join(array.dtype.names[:5])}. Give one field, or "
            f"np.lib.recfunctions.structured_to_unstructured({name})."
        )
    if array.ndim == 0:
        return DTypeError(f"{name}: expected an array of numbers; got a {type(value).__name__}. Give it as a NumPy array.")
    for place, item in islice(np.ndenumerate(array), _MOST_SEARCHED):
        where = f"{name}[{', '.join(map(str, place))}]"
        if item is None or type(item).__name__ in ("NAType", "NaTType"):
            return DTypeError(f"{name}: expected numbers; got {item} in {where}. Fill in a number, or drop the row.")
        if isinstance(item, (str, bytes)):
            column = f" (column {place[-1]})" if len(place) > 1 else ""
            return DTypeError(f"{name}: expected numbers; got text in {where}{column}, {item[:40]!r}. Number its values first.")
        if hasattr(item, "__len__"):
            return DTypeError(
                f"{name}: expected rows of one length; got a {type(item).__name__} of {len(item)} values in {where}. "
                "Fill the shorter rows up."
            )
    return DTypeError(
        f"{name}: expected numbers; got objects of the class {type(array.flat[0]).__name__ if array.size else 'object'} "
        f"(dtype {array.dtype}). Make it a plain array of numbers, for example with np.asarray({name}, dtype=np.float64)."
    )


def _first(array: Array) -> Any:
    return array.flat[0][:40] if array.size else ""
