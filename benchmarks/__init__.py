"""How fast `tx_utils` is beside its peers: an interleaved benchmark, and no test.

`make bench` runs it, `make bench ARGS="--quick"` takes a minute and a half. Read ratios, not
times: all contenders take turns in one process, so a busy machine slows them alike.
"""
