from sapiens_lab.weights.reading.content import read_content as read_content
from sapiens_lab.weights.reading.source import file_crc as file_crc
from sapiens_lab.weights.reading.stubs import Stub as Stub
from sapiens_lab.weights.reading.stubs import stub_names as stub_names
