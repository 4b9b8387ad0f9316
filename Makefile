# The commands of this repository. `make demo` and `make test` work on a fresh machine with Swift 6.3 and Python 3.9 or newer.

PREFIX ?= /usr/local
ARGS ?=

.PHONY: demo test bench library install clean

# Trains the article's networks with and without batch norm on real data; writes a table and a picture.
demo:
	@scripts/demo $(ARGS)

# Builds and runs every test of every language, linters included.
test:
	@scripts/test

# This machine's limits, then every workload beside every peer that can be installed; see docs/benchmarks.
bench:
	@scripts/bench $(ARGS)

# The shared library, in .build/release.
library:
	@command -v swift >/dev/null || { echo "make: expected Swift to build the library; got no swift on the PATH. Install Swift 6.3 or newer from swift.org." >&2; exit 1; }
	swift build -c release --product martlet

# Header, library and pkg-config file under PREFIX.
install: library
	@scripts/install "$(PREFIX)"

clean:
	rm -rf .build .venv out
