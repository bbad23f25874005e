package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// hotPath names the benchmarks of the module that are the path of a request
// with a live token, less its input and output: the token's look-up and the
// policy. Whoever adds to that path names the benchmark so.
const hotPath = "^BenchmarkHotPath"

var allocsLine = regexp.MustCompile(`(?m)^(BenchmarkHotPath\S*)\s.*\s(\d+) allocs/op$`)

// allocations runs the hot path's benchmarks and returns the allocations of
// each. It is empty when there are none.
func allocations(ctx context.Context, root string) (series, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", hotPath, "-benchmem", "-benchtime", "20000x", "./tokens", "./proxy/...")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("the benchmarks %s: %w\n%s", hotPath, err, out)
	}
	var s series
	for _, m := range allocsLine.FindAllSubmatch(out, -1) {
		n, err := strconv.ParseFloat(string(m[2]), 64)
		if err != nil {
			return nil, err
		}
		s = append(s, n)
	}
	return s, nil
}
