package main

import (
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/secret"
)

// stateDirPath is where serve keeps its state, by the same rules as config has them.
func (st *streams) stateDirPath() (string, error) {
	if dir := st.getenv("SALLYPORT_STATE_DIR"); dir != "" {
		if !filepath.IsAbs(dir) {
			return "", misconfigured("SALLYPORT_STATE_DIR: %q is no absolute path", dir)
		}
		return mounted(filepath.Clean(dir)), nil
	}
	if xdg := st.getenv("XDG_STATE_HOME"); filepath.IsAbs(xdg) {
		return mounted(filepath.Join(xdg, "sallyport")), nil
	}
	if home := st.getenv("HOME"); filepath.IsAbs(home) {
		return mounted(filepath.Join(home, ".local", "state", "sallyport")), nil
	}
	return "", misconfigured("SALLYPORT_STATE_DIR is not set, and neither XDG_STATE_HOME nor HOME is an absolute path to derive it from")
}

// mounted returns the directory inside a mount point that serve uses where it doesn't own the mount point, else dir.
func mounted(dir string) string {
	inner := filepath.Join(dir, "sallyport")
	if _, err := os.Lstat(filepath.Join(dir, adminSocket)); err == nil {
		return dir
	}
	if _, err := os.Lstat(filepath.Join(inner, adminSocket)); err == nil {
		return inner
	}
	return dir
}

// adminURL is where the server is: SALLYPORT_ADMIN_URL, else the admin socket in the state directory.
func (st *streams) adminURL() (url string, explicit bool, err error) {
	if url = st.getenv("SALLYPORT_ADMIN_URL"); url != "" {
		return url, true, nil
	}
	dir, err := st.stateDirPath()
	return "unix:" + filepath.Join(dir, adminSocket), false, err
}

// server returns a client of the admin API.
func (st *streams) server() (*admin.Client, error) {
	url, _, err := st.adminURL()
	if err != nil {
		return nil, err
	}
	c, err := admin.NewClient(admin.ClientOptions{URL: url, Token: secret.NewText(st.getenv("SALLYPORT_ADMIN_TOKEN"))})
	if err != nil {
		return nil, misconfigured("SALLYPORT_ADMIN_URL: %w", err)
	}
	return c, nil
}
