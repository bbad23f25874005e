package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/goccy/go-yaml"
)

// output is how a command shows what it found.
type output struct {
	Output string `short:"o" enum:"table,json,yaml" default:"table" help:"How to print: table, json or yaml."`
}

// print writes v as JSON or YAML, or the rows as a table.
func (o output) print(w io.Writer, v any, rows [][]string) error {
	if o.Output == "table" {
		return table(w, rows)
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err == nil && o.Output == "yaml" {
		b, err = yaml.JSONToYAML(b)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, strings.TrimRight(string(b), "\n"))
	return err
}

// table writes rows in columns. What a server or Salesforce said can't steer the terminal.
func table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = plain(c)
		}
		fmt.Fprintln(t, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
	}
	return t.Flush()
}

// plain replaces control characters, so that a cell is one line and nothing but text.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// moment writes a time, or a dash for none.
func moment(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// dash stands for an empty cell.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
