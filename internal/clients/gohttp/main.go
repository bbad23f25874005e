// Command gohttp calls Salesforce with net/http as it comes: the proxy and the
// CA are those of HTTPS_PROXY and SSL_CERT_FILE.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"
)

func main() {
	c := &http.Client{Timeout: time.Minute}
	for range time.Tick(300 * time.Millisecond) {
		if _, err := os.Stat(os.Getenv("STOP")); err == nil {
			return
		}
		said := map[string]any{"ok": true}
		if err := round(c); err != nil {
			said = map[string]any{"ok": false, "error": err.Error()}
		}
		if err := json.NewEncoder(os.Stdout).Encode(said); err != nil || os.Getenv("ONCE") != "" {
			return
		}
	}
}

// round finds and makes records.
func round(c *http.Client) error {
	var found struct{ TotalSize int }
	if err := call(c, http.MethodGet, "/query?q="+url.QueryEscape("SELECT Id FROM Account LIMIT 9"), nil, &found); err != nil {
		return err
	}
	if found.TotalSize != 9 {
		return fmt.Errorf("found %d records", found.TotalSize)
	}
	var made struct{ ID string }
	if err := call(c, http.MethodPost, "/sobjects/Account", []byte(`{"Name":"Acme"}`), &made); err != nil {
		return err
	}
	if err := upload(c, 512<<10); err != nil {
		return err
	}
	// The proxy keeps no body as long as this one to send it again: at the end of a
	// session the client gets the 401, and does what clients of Salesforce do.
	err := upload(c, 2<<20)
	if errors.Is(err, errUnauthorized) {
		err = upload(c, 2<<20)
	}
	if err != nil {
		return err
	}
	return call(c, http.MethodDelete, "/sobjects/Account/"+made.ID, nil, nil)
}

var errUnauthorized = errors.New("unauthorized")

func upload(c *http.Client, size int) error {
	var up struct{ Bytes int }
	if err := call(c, http.MethodPost, "/upload", bytes.Repeat([]byte("0123456789abcdef"), size/16), &up); err != nil {
		return err
	}
	if up.Bytes != size {
		return fmt.Errorf("%d bytes arrived, not %d", up.Bytes, size)
	}
	return nil
}

func call(c *http.Client, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(context.Background(), method, os.Getenv("INSTANCE_URL")+"/services/data/v65.0"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+os.Getenv("ACCESS_TOKEN"))
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusUnauthorized {
		return fmt.Errorf("%s %s: %w: %s", method, path, errUnauthorized, answer)
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s %s", method, path, resp.Status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
