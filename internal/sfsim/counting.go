package sfsim

import (
	"encoding/json"
	"errors"
	"io"
)

// countCSV reads CSV of any length in constant memory and returns how many
// records follow the header.
func countCSV(r io.Reader) (int, error) {
	rows, quoted, open := 0, false, false
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		for _, c := range buf[:n] {
			switch {
			case c == '"':
				quoted = !quoted
				open = true
			case c == '\n' && !quoted:
				if open {
					rows++
				}
				open = false
			case c != '\r':
				open = true
			}
		}
		if errors.Is(err, io.EOF) {
			if open {
				rows++
			}
			return max(0, rows-1), nil
		}
		if err != nil {
			return max(0, rows-1), err
		}
	}
}

// countJSON reads a JSON array of records, one of which is in memory at a time.
func countJSON(r io.Reader) (int, error) {
	d := json.NewDecoder(r)
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return 0, errors.New("sfsim: a batch in JSON is an array")
	}
	n := 0
	for d.More() {
		var one json.RawMessage
		if err := d.Decode(&one); err != nil {
			return n, err
		}
		n++
	}
	_, err := io.Copy(io.Discard, r)
	return n, err
}
