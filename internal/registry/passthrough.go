package registry

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// CheckPassthrough tells why pattern is no passthrough pattern, or nil. A pattern is host, *.host or *, each with an
// optional :port from 1 to 65535. Names under a Salesforce suffix are refused, since such hosts are never tunnelled.
func CheckPassthrough(pattern string) error {
	host, port, hasPort := strings.Cut(pattern, ":")
	if pattern == "" {
		return errors.New("the pattern is empty")
	}
	if hasPort {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || port[0] == '+' {
			return fmt.Errorf("%q: the port must be a number from 1 to 65535", pattern)
		}
	}
	if host == "*" {
		return nil
	}
	name := strings.TrimPrefix(host, "*.")
	if err := CheckHost(name); err != nil {
		return fmt.Errorf("%q is not a host, *.host or * with an optional :port: %w", pattern, err)
	}
	if UnderSalesforce("x." + name) {
		return fmt.Errorf("%q is under a Salesforce domain: such a host is never tunnelled, an org has to claim it", pattern)
	}
	return nil
}
