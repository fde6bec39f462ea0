"""Stacks of tensors: all steps of the inputs and outputs of a loop.

They are tensor lists: the gradient of taking the last element from one is to
append to another. The gradient of reading a `TensorArray` at an index would
take a pass over all steps. Each function takes a list of stacks, or makes one.
"""

from typing import Any

import tensorflow as tf

_raw = tf.raw_ops


def element_of(tensor: Any) -> tf.TensorSpec:
    """Returns shape and dtype of an element of a tensor's first axis."""
    return tf.TensorSpec(tensor.shape[1:], tensor.dtype)


def unstack(tensors: list) -> list:
    """Stacks what lies along the first axis, the last on top."""
    return [
        _raw.TensorListFromTensor(
            tensor=x, element_shape=_form(element_of(x))["element_shape"]
        )
        for x in tensors
    ]


def make_empty(elements: list, num_steps: Any) -> list:
    """Stacks to push so many elements on."""
    return [
        _raw.EmptyTensorList(max_num_elements=num_steps, **_form(x))
        for x in elements
    ]


def make_reserved(elements: list, num_steps: Any) -> list:
    """Makes stacks of so many elements to put values in the place of."""
    return [
        _raw.TensorListReserve(num_elements=num_steps, **_form(x))
        for x in elements
    ]


def pop(stacks: list, elements: list) -> tuple[list, list]:
    """Returns the stacks without their last elements, and those."""
    pairs = [
        _raw.TensorListPopBack(input_handle=stack, **_form(x))
        for stack, x in zip(stacks, elements, strict=True)
    ]
    values = [
        tf.ensure_shape(value, x.shape)
        for (_, value), x in zip(pairs, elements, strict=True)
    ]
    return [stack for stack, _ in pairs], values


def push(stacks: list, values: list) -> list:
    """Returns the stacks with one more element each."""
    return [
        _raw.TensorListPushBack(input_handle=stack, tensor=value)
        for stack, value in zip(stacks, values, strict=True)
    ]


def put(stacks: list, index: Any, values: list) -> list:
    """Returns the stacks with values in a place, which get no gradient."""
    # TensorFlow would set zeros in all steps of the backward loop.
    return [
        _raw.TensorListSetItem(
            input_handle=stack, index=index, item=tf.stop_gradient(value)
        )
        for stack, value in zip(stacks, values, strict=True)
    ]


def stack_up(stacks: list, elements: list, num_steps: Any) -> list:
    """Joins the elements of each along a new first axis."""
    return [
        _raw.TensorListStack(
            input_handle=stack,
            **_form(x),
            num_elements=num_steps if isinstance(num_steps, int) else -1,
        )
        for stack, x in zip(stacks, elements, strict=True)
    ]


def _form(element: Any) -> dict:
    """Returns what operations on stacks take to know their elements."""
    sizes = [-1 if n is None else n for n in element.shape]
    return {
        "element_shape": tf.constant(sizes, "int32"),
        "element_dtype": element.dtype,
    }
