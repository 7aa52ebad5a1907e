"""Pages in a real browser, where there is one."""

import contextlib
import shutil

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@contextlib.contextmanager
def browser(width, height=900, dark=False):
    """Chromium with a window of that many pixels; skipped with a reason where it is not there."""
    selenium = pytest.importorskip("selenium.webdriver", reason="needs the package selenium")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    options = selenium.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(DRIVER))
    try:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        theme = {
            "features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        }
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", theme)
        yield driver
    finally:
        driver.quit()


def requests_of(driver):
    """Addresses that the page asked for, but its own file."""
    import json

    asked = []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    return [url for url in asked if not url.startswith(("file:", "data:"))]
