# docs/tour.md is what its commands print today.
source "$(dirname "$0")/lib.bash"
check "it has commands" test "$(grep -c '^\$ ' docs/tour.md)" -gt 20
PATH="$(realpath "$BUILD"):$PATH" timeout $((300 * SLOWNESS)) python3 -B spec/e2e/tour.py --check docs/tour.md || ((failures += 1))
