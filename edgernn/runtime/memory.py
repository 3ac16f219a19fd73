"""RunnerMemory: all that a runner owns, and the compiled functions that work on it."""

from __future__ import annotations

import hashlib
import struct
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import CompileCacheError, InputError, ProgramFileError, RunnerStateError
from edgernn.kernels import calls
from edgernn.kernels.instructions import IS_PREFIX, STATE_PRELUDE_BYTES, ExecutionContext
from edgernn.kernels.objects import data_address
from edgernn.program.program import Program
from edgernn.runtime import input_conversion
from edgernn.runtime.lowering.table import Allocation, aligned_bytes
from edgernn.runtime.plan import plan_of

Array: TypeAlias = NDArray[Any]
Frame: TypeAlias = Array | dict[str, Array | None] | None  # what a step returns

ENTRIES = {name: index for index, name in enumerate(ExecutionContext._fields)}

SNAPSHOT_MAGIC = b"EDGERNN-SNAPSHOT"
SNAPSHOT_FORMAT = 1
SNAPSHOT_HEAD = struct.Struct("<16sI32sqI")  # magic, format, program hash, steps since the reset, 1 after flush()
DIGEST_BYTES = 32
MAX_PREPARED_SCHEDULES = 6


class HeaderArray(np.ndarray[Any, Any]):
    """The numbers of a Header, with the objects whose addresses they are."""

    keeps: tuple[object, ...]


class RunnerMemory:
    """State, values of one step, and the header that leads compiled code to them.

    It also takes the slow way through a step, for every input that the compiled entry does not read. It is apart from
    the Runner so that a step function can outlive the Runner without a cycle of references.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.plan = plan = plan_of(program)
        try:
            self._table = plan.table
            self._step, self._run = calls.step(), calls.run()
            self._is_finite, self._is_in_range = calls.is_finite(), calls.is_in_range()
            self._drain = calls.drain() if plan.tail_steps else None
            self._enter = calls.entry()
        except PermissionError as error:
            raise CompileCacheError(str(error)) from error
        self.state = aligned_bytes((plan.copies, plan.copy_bytes))
        self._prefix = self._scratch_copy() if plan.runs_prefix else None
        self._arena = plan.initial_arena()
        self._inputs = [place.view(self._arena) for place in plan.inputs]
        self._outputs = [place.view(self._arena) for place in plan.outputs]
        self._results: dict[int, Frame] = {0: None}
        self._raw_results: dict[int, Frame] = {0: None}
        self._input_table, self._output_table = self._port_table(plan.inputs), self._port_table(plan.outputs)
        self._output_table = np.column_stack([self._output_table, plan.output_schedule_indices])
        self._output_schedules = np.array(plan.output_schedules, np.int64)
        self._input_addresses = self._input_table[:, 0].tolist()
        self._places = np.zeros(len(plan.inputs) + len(plan.outputs) + len(plan.output_schedules), np.int64)
        self._places_address = self._places.ctypes.data
        self._header = np.zeros(len(ExecutionContext._fields), np.int64)
        self._address = self._header.ctypes.data
        self._describe()
        self.reset()

    def _scratch_copy(self) -> NDArray[np.uint8]:
        """A copy of the state on which a prefix of the stream is ended."""
        block = aligned_bytes((self.plan.copy_bytes,))
        Allocation("is_prefix", IS_PREFIX, (), np.dtype(np.int64)).view(block)[...] = 1
        return block

    def _port_table(self, places: tuple[Allocation, ...]) -> NDArray[np.int64]:
        """Address and bytes of each port, (ports, 2)."""
        base = self._arena.ctypes.data
        return np.array([(base + place.offset, place.size_bytes) for place in places], np.int64)

    def _describe(self) -> None:
        plan = self.plan
        self._write(
            rows=self._table.ctypes.data,
            row_count=len(self._table),
            state_row_count=plan.state_row_count,
            weights=plan.weights.ctypes.data,
            state=self.state.ctypes.data,
            arena=self._arena.ctypes.data,
            window_steps=plan.window.steps if plan.window else 0,
            window_period=plan.window_period,
            copies=plan.copies,
            copy_bytes=plan.copy_bytes,
            initial=plan.initial_state.ctypes.data + STATE_PRELUDE_BYTES,
            initial_bytes=plan.slots_end - STATE_PRELUDE_BYTES,
            tail_steps=plan.tail_steps,
            prefix=0 if self._prefix is None else self._prefix.ctypes.data,
            prefix_bytes=plan.slots_end - STATE_PRELUDE_BYTES,
            output_schedules=self._output_schedules.ctypes.data,
            schedule_count=len(plan.output_schedules),
            inputs=self._input_table.ctypes.data,
            input_count=len(plan.inputs),
            outputs=self._output_table.ctypes.data,
            output_count=len(plan.outputs),
        )

    def _result(self, due: int) -> Frame:
        """What a step returns in which these beats of the outputs have come."""
        if due not in self._results:
            self._results[due] = self._named_result(due, self._outputs)
        return self._results[due]

    def _raw_result(self, due: int) -> Frame:
        """The outputs' memory as the integers that `step_raw` leaves there."""
        if due not in self._raw_results:
            self._raw_results[due] = self._named_result(due, [array.view(np.int32) for array in self._outputs])
        return self._raw_results[due]

    def _named_result(self, due: int, arrays: list[Array]) -> Frame:
        if len(arrays) == 1:
            return arrays[0]
        return {
            place.name: array if due >> schedule & 1 else None
            for place, array, schedule in zip(self.plan.outputs, arrays, self.plan.output_schedule_indices, strict=True)
        }

    def _write(self, **numbers: int) -> None:
        for name, number in numbers.items():
            self._header[ENTRIES[name]] = number

    def _read(self, name: str) -> int:
        return int(self._header[ENTRIES[name]])

    @property
    def steps(self) -> int:
        """Time steps since the reset."""
        return self._read("step_count")

    def reset(self) -> None:
        """Back to before the first step."""
        self.state[...] = self.plan.initial_state
        self._write(step_count=0, finished=0)

    def drain(self, outputs: list[Array]) -> None:
        """Run the tail, filling contiguous outputs, and refuse steps until the next reset."""
        self.expect_open()
        if self._drain is not None and self.plan.window is None:
            self._places[: len(outputs)] = [data_address(array) for array in outputs]
            self._drain(self._address, self._places_address)
        self._write(finished=1)

    def expect_open(self) -> None:
        """Raise a RunnerStateError after `drain`."""
        if self._read("finished"):
            raise RunnerStateError("the runner was flushed: call reset() before the next step")

    def limit_operations(self, count: int) -> None:
        """Run only the first `count` rows of the table, to find out what each adds to the time of a step."""
        self._write(row_count=count, state_row_count=min(count, self.plan.state_row_count))

    # ---- steps

    def bound_step(self) -> Any:
        """The runner's step function: compiled where the layout of Python's objects is known, else the slow step."""
        places = self.plan.inputs
        schedule_count = len(self.plan.output_schedules)
        if (
            self._enter is None
            or len(places) > 1
            or places[0].dtype != np.float32
            or schedule_count > MAX_PREPARED_SCHEDULES  # the results of all sets of beats would be too many
        ):
            return self.slow_step
        self._result_table = np.array([id(self._result(due)) for due in range(1 << schedule_count)], np.int64)
        slow_step = self.slow_step
        increment_reference, call_with_one = calls.python_functions()
        self._write(
            sample=self._input_table[0, 0],
            sample_size=self._inputs[0].size,
            array_type=id(np.ndarray),
            float32_dtype=id(np.dtype(np.float32)),
            float64_dtype=id(np.dtype(np.float64)),
            list_type=id(list),
            tuple_type=id(tuple),
            float_type=id(float),
            results=self._result_table.ctypes.data,
            slow_step=id(slow_step),
            increment_reference=increment_reference,
            call_with_one=call_with_one,
        )
        context = self._header.view(HeaderArray)
        context.keeps = (self, slow_step)
        return self._enter(context)

    def slow_step(self, x: Any) -> Frame:
        """One time step with any input."""
        self.expect_open()
        places = self.plan.inputs
        given = input_conversion.by_input(x, places)
        for place, view, address in zip(places, self._inputs, self._input_addresses, strict=True):
            input_conversion.write_frame(given[place.name], place, view)
            if place.dtype == np.float32 and not self._is_finite(address, 1, 0, view.size):
                raise input_conversion.non_finite(place, view)
        for name, rows in self.plan.id_rows.items():
            input_conversion.expect_ids(name, np.asarray(given[name]).reshape(-1), rows)
        return self._result(self._step(self._address))

    def step_raw(self, counts: Any) -> Frame:
        """One time step of an int8 program, from sensor counts to integers.

        Raises
        ------
        InputError
            The program does not take counts, or they do not fit.
        RunnerStateError
            After `drain`, before `reset`.
        """
        if not self.program.takes_counts:
            raise InputError("the program cannot run on sensor counts: quantize it whole, with count_size")
        self.expect_open()
        given = input_conversion.by_input(counts, self.plan.inputs)
        frames = [input_conversion.counts(given[place.name], place) for place in self.plan.inputs]
        for view, frame in zip(self._inputs, frames, strict=True):
            view.view(np.int32)[...] = frame
        self._write(rows=self.plan.raw_table.ctypes.data)
        due = self._step(self._address)
        self._write(rows=self._table.ctypes.data)
        return self._raw_result(due)

    def run(self, columns: list[Array], outputs: list[Array], indices: list[Array | None] | None = None) -> None:
        """Step over contiguous inputs, filling contiguous outputs.

        Parameters
        ----------
        columns, outputs : list of ndarray
            One for each input and output; outputs have room for all their frames.
        indices : list of ndarray of int64, or None, optional
            For each beat of the outputs, what takes the indices of its steps.

        Raises
        ------
        InputError
            An input holds an id that is in no table; no state was touched.
        NonFiniteInputError
            An input holds NaN or infinity; no state was touched.
        RunnerStateError
            After `drain`, before `reset`.
        """
        self.expect_open()
        for place, column in zip(self.plan.inputs, columns, strict=True):
            if column.dtype == np.float32 and not self._is_finite(data_address(column), 1, 0, column.size):
                raise input_conversion.first_non_finite(place, column)
            if place.name in self.plan.id_rows:
                input_conversion.expect_ids(place.name, column.reshape(len(column), -1), self.plan.id_rows[place.name])
        index_arrays = [None] * len(self.plan.output_schedules) if indices is None else indices
        self._places[:] = [0 if array is None else data_address(array) for array in (*columns, *outputs, *index_arrays)]
        self._run(self._address, self._places_address, len(columns[0]))

    def state_is_finite(self) -> bool:
        """Whether no float state is NaN or at the end of float32's range."""
        begin = data_address(self.state) + STATE_PRELUDE_BYTES
        size = (self.plan.float_slots_end - STATE_PRELUDE_BYTES) // 4
        return bool(self._is_in_range(begin, self.plan.copies, self.plan.copy_bytes, size))

    # ---- snapshots

    def _contents(self) -> list[Array]:
        """All of the state but the clocks, as arrays with one more axis for the copies."""
        return [place.view(self.state) for place in (*self.plan.slots, *self.plan.frames)]

    def snapshot(self) -> bytes:
        """The state as bytes: head, arrays in little-endian order, SHA-256 of all that."""
        head = SNAPSHOT_HEAD.pack(
            SNAPSHOT_MAGIC, SNAPSHOT_FORMAT, bytes.fromhex(self.program.hash), self.steps, self._read("finished")
        )
        contents = [array.astype(array.dtype.newbyteorder("<")).tobytes() for array in self._contents()]
        body = b"".join((head, *contents))
        return body + hashlib.sha256(body).digest()

    def restore(self, blob: bytes) -> None:
        """Take over a snapshot.

        Raises
        ------
        ProgramFileError
            It is damaged, too new, or of another program.
        """
        body, digest = blob[:-DIGEST_BYTES], blob[-DIGEST_BYTES:]
        contents = self._contents()
        if len(body) < SNAPSHOT_HEAD.size or not body.startswith(SNAPSHOT_MAGIC):
            raise ProgramFileError("this is not a snapshot of a runner")
        _, version, program_hash, steps, finished = SNAPSHOT_HEAD.unpack_from(body)
        if version > SNAPSHOT_FORMAT:
            raise ProgramFileError(f"the snapshot has format {version}, this version reads up to {SNAPSHOT_FORMAT}")
        if hashlib.sha256(body).digest() != digest:
            raise ProgramFileError("the snapshot is damaged: its checksum differs")
        if program_hash.hex() != self.program.hash:
            raise ProgramFileError("the snapshot belongs to another program; take one from a runner of this program")
        if len(body) != SNAPSHOT_HEAD.size + sum(array.nbytes for array in contents) or steps < 0 or finished > 1:
            raise ProgramFileError("the snapshot contradicts itself")
        offset = SNAPSHOT_HEAD.size
        for array in contents:
            stored = np.frombuffer(body, array.dtype.newbyteorder("<"), array.size, offset)
            array[...] = stored.reshape(array.shape)
            offset += array.nbytes
        self.plan.set_clocks(self.state, steps)
        self._write(step_count=steps, finished=finished)
