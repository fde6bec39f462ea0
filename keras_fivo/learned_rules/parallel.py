"""Tasks of a meta-training side by side on several devices."""

import re
from typing import Any

import keras

from keras_fivo import backend

# Names of the variables of `MetaTraining` with an entry for each task.
_OF_TASKS = re.compile(r"(base|accumulated)_\d+_\d+")


class TaskParallel(keras.distribution.DataParallel):
    """Spreads the tasks of `MetaTraining` over devices.

    Each device holds some of the base models and of a batch's tasks; the
    rule's weights are on every device, and their gradients are summed over
    them. A step gives what it gives on one device, up to rounding.

    This is a distribution of Keras, which has those on JAX.

    Args:
        device_mesh: One-dimensional `keras.distribution.DeviceMesh`; None:
            of the devices.
        devices: Names of devices, as from `keras.distribution.list_devices`;
            None: all.

    Example:
    ```python
    with kf.TaskParallel().scope():
        groups = [kf.TaskGroup(64, (96,), num_tasks=8)]
        rule = kf.LocalUpdateRule(embedding_dim=None)
        model = kf.MetaTraining(rule, groups)
        model.compile("adam")
        model.fit(batches)
    ```
    """

    def __init__(self, device_mesh: Any = None, devices: Any = None) -> None:
        if not backend.DISTRIBUTES:
            raise ValueError(
                "Keras spreads tasks over devices on JAX alone. Received: "
                f"keras.backend.backend()={keras.backend.backend()!r}. Set "
                "the environment variable KERAS_BACKEND to 'jax'."
            )
        super().__init__(device_mesh, devices)

    def get_data_layout(self, data_shape: Any) -> Any:
        """Returns the layout of a part of a batch, by its shape.

        Args:
            data_shape: `(updates, tasks, batch, inputs)` of inputs, or
                `(tasks, ...)` of the others.
        """
        return self._layout(data_shape, int(len(data_shape) == 4))

    def get_variable_layout(self, variable: Any) -> Any:
        """Returns a variable's layout: base models apart, others everywhere."""
        name = variable.path.rsplit("/", 1)[-1]
        return self._layout(
            variable.shape, 0 if _OF_TASKS.fullmatch(name) else None
        )

    def _layout(self, shape: Any, axis: int | None) -> Any:
        """Returns the layout of a tensor with an axis spread; None: no axis."""
        axes: list = [None] * len(shape)
        if axis is not None:
            count = self.num_model_replicas
            if shape[axis] % count:
                raise ValueError(
                    "The number of tasks of each group must be a multiple of "
                    f"the number of devices, {count}. Received: a tensor of "
                    f"shape {tuple(shape)}, whose tasks are axis {axis}"
                )
            axes[axis] = self.batch_dim_name
        return keras.distribution.TensorLayout(axes, self.device_mesh)
