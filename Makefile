# The front door over CMake. `make help` says what there is.
BUILD ?= build
SAN ?=
CMAKE_FLAGS ?=
ifneq ($(SAN),)
BUILD := build-$(subst $(,),-,$(SAN))
endif

build:
	cmake -G Ninja -S . -B $(BUILD) $(CMAKE_FLAGS) && ninja -C $(BUILD)
.PHONY: build
