"""How late is an answer: profiles of a step, of a stream and of a serial port, and a latency budget.

All profiles are open loop. Sample k is due at ``begin + k * period`` whether or not the sample before it is done, as
a sensor that does not wait. *Response time* counts from when a sample was due to when its answer was there: a stall
shows in every sample that it made late (a loop that waits for its own answers would see it once; this error is known
as coordinated omission). *Service time* counts from when the work on a sample began.

::

    profiler.py      benchmark targets interleaved, each with a Recorder, to Measurements
    benchmark targets.py   the step alone, an empty step (the machine's noise floor)
    onnxruntime.py   onnxruntime on the same model
    streams.py       the whole stream, from memory or through a serial port; board.py is the other end of the port
    schedule.py      when samples are due
    recorder.py      all that is kept of the steps of a run, in fixed memory; histogram.py, garbage.py, resources.py
    measurement.py   the result, as plain values
    operations.py    where the time of a step goes
    budget.py        delays that a model and its sensor have before any computing
    machine.py       what it was measured on; verified.py: the same model on microcontrollers
    report.py        one page of HTML; text.py: the same figures as rows of text; trace.py: for Perfetto
"""
