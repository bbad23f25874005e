package main

import (
	"encoding/json"
	"fmt"
	"runtime"
)

type versionCmd struct {
	Output string `short:"o" enum:"text,json" default:"text" help:"How to print: text or json."`
}

// Run prints the version.
func (c *versionCmd) Run(st *streams) error {
	if c.Output == "json" {
		b, err := json.Marshal(map[string]string{"version": version, "commit": commit, "go": runtime.Version()})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(st.out, string(b))
		return err
	}
	_, err := fmt.Fprintf(st.out, "sallyport %s (commit %s, %s %s/%s)\n", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
